/** One turn of the thread: what was asked or answered, and what can be done with it. */

import { Suspense, lazy, memo, useRef, useState } from "react";
import { urlOf } from "../history/open";
import { IconButton } from "../parts/Button";
import { Media } from "../parts/Media";
import { AgainIcon, BrushIcon, ContinueIcon, CopyIcon, EditIcon, LeftIcon, RightIcon, SpeakerIcon, StopIcon } from "../parts/icons";
import { go } from "../shell/screens";
import { useThread } from "../thread/store";
import { siblings, textOf, type Turn } from "../thread/tree";
import { blobOf } from "../wire/bytes";
import { useWords } from "../words";
import { Replay } from "./Replay";
import { useNear } from "./near";
import { tokensPerSecond } from "./speed";

// What is far off the screen is neither laid out nor painted.
const UNSEEN = "[content-visibility:auto] [contain-intrinsic-size:auto_8rem]";
const Markdown = lazy(() => import("./Markdown"));

export const TurnView = memo(function TurnView({ turn }: { turn: Turn }) {
  return turn.role === "user" ? <Question turn={turn} /> : <Answer turn={turn} />;
});

function Question({ turn }: { turn: Turn }) {
  const words = useWords();
  const edit = useThread((thread) => thread.edit);
  const [draft, setDraft] = useState<string | null>(null);
  if (draft !== null) {
    const save = () => {
      const others = turn.parts.filter((part) => part.type !== "text");
      edit(turn, [...others, { type: "text", text: draft }]);
      setDraft(null);
    };
    return (
      <form
        className="ms-auto w-full max-w-[85%] space-y-2"
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <textarea
          autoFocus
          aria-label={words("edit")}
          className="w-full rounded-2xl border border-line bg-raised p-3"
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
        />
        <div className="flex justify-end gap-2">
          <button type="button" className="rounded-full px-3 py-1" onClick={() => setDraft(null)}>
            {words("cancel")}
          </button>
          <button type="submit" className="rounded-full bg-accent px-3 py-1 text-[#14161a]">
            {words("save")}
          </button>
        </div>
      </form>
    );
  }
  return (
    <article aria-label={words("you")} className={`group ms-auto max-w-[85%] ${UNSEEN}`}>
      <div className="ms-auto w-fit space-y-2 rounded-2xl bg-raised px-4 py-2.5 shadow-xs ring-1 ring-line">
        {turn.parts.map((part, index) =>
          part.type === "text" ? (
            <p key={index} className="whitespace-pre-wrap break-words">
              {part.text}
            </p>
          ) : (
            <Media key={index} part={part} />
          ),
        )}
      </div>
      <div className="flex justify-end">
        <Branches turn={turn} />
        <ChangePicture turn={turn} />
        <IconButton name={words("edit")} onClick={() => setDraft(textOf(turn))}>
          <EditIcon />
        </IconButton>
      </div>
    </article>
  );
}

/** Take the first picture of a question to the picture screen. */
function ChangePicture({ turn }: { turn: Turn }) {
  const words = useWords();
  const picture = turn.parts.find((part) => part.type === "image_url");
  if (!picture) return null;
  const change = async () => {
    const file = blobOf(await urlOf(picture.image_url.url));
    const { useStudio } = await import("../picture/studio");
    await useStudio.getState().begin(file, textOf(turn) || words("picture"));
    go("picture");
  };
  return (
    <IconButton name={words("changePicture")} onClick={() => void change()}>
      <BrushIcon />
    </IconButton>
  );
}

function Answer({ turn }: { turn: Turn }) {
  const words = useWords();
  const name = useThread((thread) => thread.model?.id ?? "");
  const isLast = useThread((thread) => !thread.tree.children[turn.id]?.length);
  const { regenerate, proceed } = useThread.getState();
  const [isReplayed, setReplayed] = useState(false);
  const article = useRef<HTMLElement>(null);
  const isNear = useNear(article);
  const { state, figures } = turn;
  const text = textOf(turn);
  return (
    <article ref={article} aria-label={name} className={`group max-w-full ${UNSEEN}`} aria-busy={state === "writing"}>
      {turn.reasoning && <Reasoning turn={turn} />}
      {isReplayed ? (
        <Replay turn={turn} onEnd={() => setReplayed(false)} />
      ) : (
        <Suspense fallback={<Plain text={text} />}>
          {isNear ? <Markdown text={text} /> : <Plain text={text} />}
        </Suspense>
      )}
      {state === "writing" && !text && !turn.reasoning && (
        <span className="inline-block size-2.5 animate-pulse rounded-full bg-accent" />
      )}
      {state === "stopped" && <p className="text-muted">{words("stopped")}</p>}
      {state === "cut" && <p className="text-muted">{words("cutShort")}</p>}
      {typeof state === "object" && (
        <p role="alert" className="text-error">
          {state.error}
        </p>
      )}
      {state !== "writing" && (
        <footer className="flex flex-wrap items-center gap-x-1 text-sm text-muted">
          <Branches turn={turn} />
          <IconButton name={words("copy")} onClick={() => void navigator.clipboard.writeText(text)}>
            <CopyIcon />
          </IconButton>
          <IconButton name={words("regenerate")} onClick={() => regenerate(turn)}>
            <AgainIcon />
          </IconButton>
          {state !== "done" && isLast && (text || turn.reasoning) && (
            <IconButton name={words("continue")} onClick={() => proceed(turn)}>
              <ContinueIcon />
            </IconButton>
          )}
          {turn.sound.length > 0 && (
            <IconButton
              name={words(isReplayed ? "silence" : "replay")}
              onClick={() => setReplayed(!isReplayed)}
            >
              {isReplayed ? <StopIcon /> : <SpeakerIcon />}
            </IconButton>
          )}
          <span className="ms-1">{figuresLine(turn, words)}</span>
          {figures.firstSoundS !== undefined && (
            <span>· {words("firstSound", { seconds: figures.firstSoundS.toFixed(2) })}</span>
          )}
          {figures.memoryBytes !== undefined && (
            <span>· {words("memory", { used: gigabytes(figures.memoryBytes) })}</span>
          )}
        </footer>
      )}
    </article>
  );
}

function Plain({ text }: { text: string }) {
  return <p className="whitespace-pre-wrap">{text}</p>;
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}

function figuresLine({ figures }: Turn, words: ReturnType<typeof useWords>): string {
  const { usage, firstTextS, totalS } = figures;
  if (!usage || firstTextS === undefined || totalS === undefined) return "";
  const speed = tokensPerSecond(usage.completion_tokens, firstTextS, totalS);
  return words("figures", { speed: speed.toFixed(0), first: firstTextS.toFixed(2) });
}

function Reasoning({ turn }: { turn: Turn }) {
  const words = useWords();
  const seconds = turn.figures.reasoningS;
  const title =
    seconds === undefined ? words("thinking") : words("thought", { seconds: seconds.toFixed(0) });
  return (
    <details className="mb-2 rounded-lg border border-line px-3 py-1.5 text-muted">
      <summary className="cursor-pointer">{title}</summary>
      <p className="whitespace-pre-wrap pt-1">{turn.reasoning}</p>
    </details>
  );
}

function Branches({ turn }: { turn: Turn }) {
  const words = useWords();
  const ids = useThread((thread) => thread.tree.children[turn.parent ?? ""]) ?? [];
  if (ids.length < 2) return null;
  const { tree, show } = useThread.getState();
  const all = siblings(tree, turn);
  const at = ids.indexOf(turn.id);
  const [before, after] = [all[at - 1], all[at + 1]];
  return (
    <span className="flex items-center text-sm text-muted">
      <IconButton name={words("previous")} disabled={!before} onClick={() => before && show(before)}>
        <LeftIcon />
      </IconButton>
      <span>{words("version", { number: at + 1, count: all.length })}</span>
      <IconButton name={words("next")} disabled={!after} onClick={() => after && show(after)}>
        <RightIcon />
      </IconButton>
    </span>
  );
}
