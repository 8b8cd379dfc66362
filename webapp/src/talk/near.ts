/** Which turns are near enough to the screen to be worth more than plain text. */

import { startTransition, useEffect, useState, type RefObject } from "react";

const AROUND = "100% 0px"; // a screen above, and one below

/** Tell whether an element was ever near what its scrolling ancestor, marked `data-scroller`, shows. */
export function useNear(element: RefObject<HTMLElement | null>): boolean {
  const [isNear, setNear] = useState(false);
  useEffect(() => {
    if (!element.current) return;
    const root = element.current.closest("[data-scroller]");
    const watcher = new IntersectionObserver(
      (seen) => {
        if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
        watcher.disconnect();
        startTransition(() => setNear(true)); // scrolling comes first
      },
      { root, rootMargin: AROUND },
    );
    watcher.observe(element.current);
    return () => watcher.disconnect();
  }, [element]);
  return isNear;
}
