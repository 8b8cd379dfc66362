/** Keeps the end of a thread in sight while it grows, unless the user has scrolled away from it. */

import { useEffect, useRef, type RefObject } from "react";

const NEAR_PX = 40; // of the end: as good as there

/**
 * Follow the end of what scrolls.
 *
 * @param scroller - The element that scrolls.
 * @param content - What is in it, whose height changes: turns far off the screen have a guessed one.
 * @param last - Names the last turn; another one is shown at once. Null where there is none.
 */
export function useEnd(
  scroller: RefObject<HTMLElement | null>,
  content: RefObject<HTMLElement | null>,
  last: string | null,
): void {
  const isFollowed = useRef(false);
  useEffect(() => {
    isFollowed.current = last !== null;
    if (last !== null && scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  }, [scroller, last]);
  useEffect(() => {
    const box = scroller.current;
    if (!box || !content.current) return;
    let top = box.scrollTop;
    const onScroll = () => {
      const isThere = box.scrollTop + box.clientHeight >= box.scrollHeight - NEAR_PX;
      isFollowed.current = isThere || (isFollowed.current && box.scrollTop >= top);
      top = box.scrollTop;
    };
    const watcher = new ResizeObserver(() => {
      if (isFollowed.current) box.scrollTop = box.scrollHeight;
    });
    watcher.observe(content.current);
    watcher.observe(box);
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      watcher.disconnect();
      box.removeEventListener("scroll", onScroll);
    };
  }, [scroller, content]);
}
