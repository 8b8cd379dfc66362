/** How far an edit has come, how long it will go on, and a way to end it. */

import { IconButton } from "../parts/Button";
import { StopIcon } from "../parts/icons";
import { useWords } from "../words";
import type { Words } from "../words/en";
import { timeLeft } from "./left";
import { useStudio, type Job } from "./studio";

const STAGES: Record<string, keyof Words> = {
  reading: "stageReading",
  planning: "stagePlanning",
  drawing: "stageDrawing",
  finishing: "stageFinishing",
};

export function Progress({ job }: { job: Job }) {
  const words = useWords();
  const stop = useStudio((studio) => studio.stop);
  const { stage, done, leftS, number, count } = job;
  return (
    <div className="flex min-h-13 items-center gap-3 px-4 py-2">
      <div className="min-w-0 grow">
        <div className="flex justify-between gap-3 pb-1 text-sm text-muted">
          <span role="status">{words(STAGES[stage] ?? "stageReading", { number, count })}</span>
          {leftS !== null && <span>{timeLeft(words, leftS, done ?? 0)}</span>}
        </div>
        <progress
          aria-label={words("progress")}
          className="w-full"
          {...(done === null ? {} : { value: done, max: 1 })}
        />
      </div>
      <IconButton name={words("stopEdit")} isMain onClick={stop}>
        <StopIcon />
      </IconButton>
    </div>
  );
}
