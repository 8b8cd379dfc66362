/** Every picture and what was made of it, to go back to and to branch from. */

import type { KeyboardEvent } from "react";
import { useWords } from "../words";
import { madeOf } from "./edits";
import { useStudio } from "./studio";

export function EditTree() {
  const words = useWords();
  return (
    <nav
      aria-label={words("edits")}
      className="shrink-0 border-line p-3 lg:order-first lg:w-56 lg:overflow-y-auto lg:border-e"
      onKeyDown={moveFocus}
    >
      <h2 className="pb-2 font-medium">{words("edits")}</h2>
      <Branch parent={null} />
    </nav>
  );
}

function Branch({ parent }: { parent: string | null }) {
  const words = useWords();
  const { pictures, base, shown, show } = useStudio();
  const found = madeOf(pictures, parent);
  if (found.length === 0) return null;
  return (
    <ul className={parent === null ? "" : "ms-3 border-s border-line ps-2"}>
      {found.map(({ id, url, title }) => (
        <li key={id}>
          <button
            type="button"
            aria-current={shown === id}
            className="flex w-full items-center gap-2 rounded-xl p-1.5 text-start hover:bg-line/40 aria-[current=true]:bg-line/60"
            onClick={() => show(id)}
          >
            <img src={url} alt="" className="size-11 shrink-0 rounded-lg object-cover" />
            <span className="min-w-0 text-sm">
              <span className="line-clamp-2 break-words">{title}</span>
              {base === id && <span className="text-xs text-muted">{words("isInput")}</span>}
            </span>
          </button>
          <Branch parent={id} />
        </li>
      ))}
    </ul>
  );
}

/** Let the arrows go up and down the tree. */
function moveFocus(event: KeyboardEvent<HTMLElement>) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined) return;
  const buttons = [...event.currentTarget.querySelectorAll("button")];
  const at = buttons.findIndex((button) => button === document.activeElement);
  buttons[at + step]?.focus();
  event.preventDefault();
}
