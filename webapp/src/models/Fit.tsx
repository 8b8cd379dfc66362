/** Whether a model runs on this machine, and how fast. */

import { useState } from "react";
import { measure, type Fit, type Title } from "../wire/api";
import { useWords } from "../words";

interface Props {
  title: Title;
  memoryBytes: number;
  onEnd: () => Promise<void>;
  onProblem: (problem: string) => void;
}

export function FitLine({ title, memoryBytes, onEnd, onProblem }: Props) {
  const words = useWords();
  const [isBusy, setBusy] = useState(false);
  const { fit, fits, needs_bytes, packed_needs_bytes } = title;
  const needs = fit?.peak_bytes ?? needs_bytes;
  if (needs === null) return null;
  const gigabytes = (bytes: number) => words("gigabytes", { number: (bytes / 1e9).toFixed(1) });
  const fitsPacked = !fits && title.fits_packed === true;
  const run = async () => {
    setBusy(true);
    try {
      await measure(title.key);
      await onEnd();
    } catch (error) {
      onProblem((error as Error).message);
    }
    setBusy(false);
  };
  return (
    <p className="flex flex-wrap items-center gap-x-3 gap-y-1 text-sm">
      <Bar
        part={(fits || !packed_needs_bytes ? needs : packed_needs_bytes) / memoryBytes}
        fits={fits === true || fitsPacked}
      />
      <span className={fits || fitsPacked ? "text-fits" : "text-error"}>
        {words(fits ? "fits" : fitsPacked ? "fitsPacked" : "tooBig", {
          needs: gigabytes(needs),
          packed: gigabytes(packed_needs_bytes ?? needs),
          memory: gigabytes(memoryBytes),
        })}
      </span>
      {fit ? (
        <Speed fit={fit} />
      ) : (
        <button
          type="button"
          aria-label={words("measureModel", { model: title.key })}
          title={title.is_downloaded ? undefined : words("measureHint")}
          disabled={isBusy}
          className="text-muted underline decoration-line underline-offset-4 hover:text-ink disabled:no-underline"
          onClick={() => void run()}
        >
          {words(isBusy ? "measuring" : "measure")}
        </button>
      )}
    </p>
  );
}

function Speed({ fit }: { fit: Fit }) {
  const words = useWords();
  if (fit.tokens_per_s === null) return null;
  return <span className="text-muted">{words("speed", { speed: rounded(fit.tokens_per_s * 1e9) })}</span>;
}

function Bar({ part, fits }: { part: number; fits: boolean }) {
  return (
    <span aria-hidden="true" className="h-1.5 w-16 overflow-hidden rounded-full bg-line">
      <span
        className={`block h-full rounded-full ${fits ? "bg-fits" : "bg-error"}`}
        style={{ width: `${Math.min(100, 100 * part)}%` }}
      />
    </span>
  );
}

/** Write billions with two digits that matter. */
function rounded(value: number): string {
  const billions = value / 1e9;
  return billions < 10 ? billions.toFixed(1) : billions.toFixed(0);
}
