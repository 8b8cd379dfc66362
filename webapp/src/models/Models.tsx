/** The models: what is here, what can be fetched, and what is loaded. */

import { useCallback, useEffect, useState } from "react";
import {
  cancelDownload,
  download,
  jobOf,
  listTitles,
  load,
  unload,
  type Job,
  type Title,
} from "../wire/api";
import { useThread } from "../thread/store";
import { useWords } from "../words";
import { FitLine } from "./Fit";

const LOOK_MS = 500;
const NONE: { models: Title[]; memory_bytes: number } = { models: [], memory_bytes: 0 };

export function ModelsScreen() {
  const words = useWords();
  const connect = useThread((thread) => thread.connect);
  const [{ models: titles, memory_bytes }, setListed] = useState(NONE);
  const [problem, setProblem] = useState<string | null>(null);
  const refresh = useCallback(async () => {
    try {
      setListed(await listTitles());
      await connect();
    } catch (error) {
      setProblem((error as Error).message);
    }
  }, [connect]);
  useEffect(() => void refresh(), [refresh]);

  const act = (action: () => Promise<unknown>) => async () => {
    setProblem(null);
    try {
      await action();
    } catch (error) {
      setProblem((error as Error).message);
    }
    await refresh();
  };

  return (
    <main className="mx-auto w-full max-w-[60rem] grow overflow-y-auto px-4 py-6">
      <h1 className="pb-4 text-2xl font-semibold">{words("models")}</h1>
      {problem && (
        <p role="alert" className="pb-3 text-error">
          {problem}
        </p>
      )}
      <ul className="divide-y divide-line">
        {titles.map((title) => (
          <li key={title.key} className="flex flex-wrap items-center gap-3 py-3">
            <div className="min-w-0 grow basis-72">
              <h2 className="font-medium">{title.key}</h2>
              <p className="text-muted">{title.display_name}</p>
              <p className="text-sm text-muted">
                {sizeText(words, title.size_bytes)}
                {title.licence && ` · ${title.licence}`}
                {title.is_downloaded && ` · ${words("here")}`}
              </p>
              <FitLine title={title} memoryBytes={memory_bytes} onEnd={refresh} onProblem={setProblem} />
            </div>
            {title.loaded_instances.length > 0 ? (
              <Action name={words("unload")} model={title.key} onClick={act(() => unload(title.key))} />
            ) : title.is_downloaded ? (
              <Action isMain name={words("load")} model={title.key} onClick={act(() => load(title.key))} />
            ) : (
              <Download title={title} onEnd={refresh} onProblem={setProblem} />
            )}
          </li>
        ))}
      </ul>
    </main>
  );
}

function sizeText(words: ReturnType<typeof useWords>, bytes: number): string {
  const isSmall = bytes < 1e8;
  return isSmall
    ? words("megabytes", { number: (bytes / 1e6).toFixed(0) })
    : words("gigabytes", { number: (bytes / 1e9).toFixed(1) });
}

interface ActionProps {
  name: string;
  model: string;
  onClick: () => Promise<void>;
  isMain?: boolean;
}

function Action({ name, model, onClick, isMain = false }: ActionProps) {
  const [isBusy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    await onClick();
    setBusy(false);
  };
  const colours = isMain ? "bg-accent text-[#14161a]" : "ring-1 ring-line";
  return (
    <button
      type="button"
      aria-label={`${name} ${model}`}
      disabled={isBusy}
      className={`rounded-full px-4 py-1.5 disabled:opacity-50 ${colours}`}
      onClick={() => void run()}
    >
      {name}
    </button>
  );
}

interface DownloadProps {
  title: Title;
  onEnd: () => Promise<void>;
  onProblem: (problem: string) => void;
}

function Download({ title, onEnd, onProblem }: DownloadProps) {
  const words = useWords();
  const [job, setJob] = useState<Job | null>(null);
  const isRunning = job !== null && ["queued", "downloading", "paused"].includes(job.status);

  useEffect(() => {
    if (!isRunning) return;
    const timer = setTimeout(async () => {
      const next = await jobOf(job.job_id).catch(() => job);
      setJob({ ...next });
      if (next.error) onProblem(next.error);
      if (next.status === "completed") await onEnd();
    }, LOOK_MS);
    return () => clearTimeout(timer);
  }, [job, isRunning, onEnd, onProblem]);

  const start = async () => {
    try {
      setJob(await download(title.key));
    } catch (error) {
      onProblem((error as Error).message);
    }
  };
  if (!isRunning) return <Action name={words("download")} model={title.key} onClick={start} />;
  return (
    <div className="flex items-center gap-2">
      <progress
        aria-label={`${words("download")} ${title.key}`}
        max={job.total_size_bytes || 1}
        value={job.downloaded_bytes}
      />
      <Action
        name={words("stopDownload")}
        model={title.key}
        onClick={async () => void (await cancelDownload(job.job_id))}
      />
    </div>
  );
}
