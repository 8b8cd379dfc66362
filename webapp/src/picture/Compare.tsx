/** Two pictures in one frame, with a line between them that can be moved. */

import { useState } from "react";
import { useWords } from "../words";
import { Frame } from "./Frame";
import type { Picture } from "./edits";

const START = 50;

export function Compare({ before, after }: { before: Picture; after: Picture }) {
  const words = useWords();
  const [percent, setPercent] = useState(START);
  return (
    <Frame width={after.width} height={after.height}>
      <img src={before.url} alt={words("before")} className="absolute size-full rounded-lg object-cover" />
      <img
        src={after.url}
        alt={words("after")}
        className="absolute size-full rounded-lg"
        style={{ clipPath: `inset(0 0 0 ${percent}%)` }}
      />
      <input
        type="range"
        aria-label={words("compare")}
        aria-valuetext={words("compareValue", { percent: 100 - percent })}
        min={0}
        max={100}
        value={percent}
        onChange={(event) => setPercent(Number(event.target.value))}
        className="peer absolute inset-0 z-10 m-0 size-full cursor-ew-resize opacity-0"
      />
      <span
        className="pointer-events-none absolute inset-y-0 w-0.5 -translate-x-1/2 bg-white shadow-[0_0_0_1px_rgb(0_0_0/0.35)] peer-focus-visible:bg-accent"
        style={{ left: `${percent}%` }}
      >
        <span className="absolute top-1/2 left-1/2 grid size-9 -translate-1/2 place-items-center rounded-full bg-white text-[#14161a] shadow-md">
          ⇔
        </span>
      </span>
      <span className={`${LABEL} start-2`}>{words("before")}</span>
      <span className={`${LABEL} end-2`}>{words("after")}</span>
    </Frame>
  );
}

const LABEL =
  "pointer-events-none absolute bottom-2 rounded-full bg-[#14161a] px-2.5 py-0.5 text-sm text-white";
