/** What is to be changed, in words, with the other pictures that the words speak of. */

import type { ReactNode } from "react";
import { IconButton } from "../parts/Button";
import { CloseIcon, PlusIcon } from "../parts/icons";
import { go } from "../shell/screens";
import type { Model } from "../wire/api";
import { useWords } from "../words";
import { Chooser } from "./Chooser";
import { MAX_INPUTS, useStudio } from "./studio";

const COUNTS = [1, 2, 3, 4];
const SIZES = ["1024x1024", "1184x880", "880x1184", "1392x752", "752x1392"];
/** Sides of a square as large as what the model works on; null is its usual size. */
const DETAILS = [256, 512, null, 1536];
const FIELD = "w-full rounded-lg border border-line bg-raised px-3 py-1.5";

export function Prompt({ editor }: { editor: Model | undefined }) {
  const words = useWords();
  const { base, wishes, job, problem, wish, start } = useStudio();
  const canStart = editor !== undefined && base !== null && job === null && wishes.prompt.trim() !== "";
  const submit = () => {
    if (canStart) void start(editor.id);
  };
  return (
    <form
      aria-label={words("change")}
      className="shrink-0 space-y-3 border-line p-4 lg:w-80 lg:overflow-y-auto lg:border-s"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {base !== null && <Inputs />}
      <label className="block space-y-1">
        <span className="font-medium">{words("whatToChange")}</span>
        <textarea
          rows={3}
          placeholder={words("changePlaceholder")}
          className={`field-sizing-content max-h-60 min-h-20 resize-none ${FIELD}`}
          value={wishes.prompt}
          onChange={(event) => wish({ prompt: event.target.value })}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            submit();
          }}
        />
      </label>
      {problem && (
        <p role="alert" className="text-error">
          {"reason" in problem ? words(problem.reason, { ...problem, limit: MAX_INPUTS }) : problem.message}
        </p>
      )}
      {editor === undefined && (
        <p role="note" className="text-muted">
          {words("noEditor")}{" "}
          <button type="button" className="underline" onClick={() => go("models")}>
            {words("toModels")}
          </button>
        </p>
      )}
      <button
        type="submit"
        disabled={!canStart}
        className="w-full rounded-full bg-accent px-4 py-2 font-medium text-[#14161a] disabled:opacity-40"
      >
        {words("change")}
      </button>
      <More />
    </form>
  );
}

function Inputs() {
  const words = useWords();
  const { pictures, base, others, take, drop } = useStudio();
  const first = pictures.find(({ id }) => id === base);
  const isFull = others.length >= MAX_INPUTS - 1;
  return (
    <ul aria-label={words("inputs")} className="flex flex-wrap gap-3">
      {[...(first ? [first] : []), ...others].map((picture, index) => (
        <li key={picture.id} className="relative">
          <img src={picture.url} alt={picture.title} className="size-16 rounded-lg object-cover ring-1 ring-line" />
          <span className="absolute start-1 bottom-1 rounded bg-[#14161a] px-1.5 text-xs text-white">
            {index + 1}
          </span>
          {index > 0 && (
            <IconButton
              name={words("remove", { name: picture.title })}
              className="absolute -end-2 -top-2 size-6 bg-raised ring-1 ring-line"
              onClick={() => drop(picture)}
            >
              <CloseIcon />
            </IconButton>
          )}
        </li>
      ))}
      {!isFull && (
        <li>
          <Chooser
            isMany
            name={words("addPicture")}
            onFiles={(files) => void take(files)}
            className="grid size-16 place-items-center rounded-lg border border-dashed border-line text-muted hover:border-accent hover:text-ink"
          >
            <PlusIcon />
          </Chooser>
        </li>
      )}
    </ul>
  );
}

function More() {
  const words = useWords();
  const { wishes, wish, begin } = useStudio();
  return (
    <details className="group">
      <summary className="cursor-pointer py-1 text-muted">{words("moreWishes")}</summary>
      <div className="space-y-3 pt-2">
        <Choice name={words("count")} value={wishes.count} onChoose={(count) => wish({ count: Number(count) })}>
          {COUNTS.map((count) => (
            <option key={count}>{count}</option>
          ))}
        </Choice>
        <Choice name={words("size")} value={wishes.size ?? ""} onChoose={(size) => wish({ size: size || null })}>
          <option value="">{words("ownSize")}</option>
          {SIZES.map((size) => (
            <option key={size} value={size}>
              {size.replace("x", " × ")}
            </option>
          ))}
        </Choice>
        <Choice
          name={words("detail")}
          value={wishes.workPx ?? ""}
          onChoose={(px) => wish({ workPx: px ? Number(px) : null })}
        >
          {DETAILS.map((side) => (
            <option key={side} value={side === null ? "" : side ** 2}>
              {side === null ? words("usualDetail") : `${side} × ${side}`}
            </option>
          ))}
        </Choice>
        <Figure name={words("steps")} value={wishes.steps} least={1} onChange={(steps) => wish({ steps })} />
        <Reuses />
        <Figure name={words("seed")} value={wishes.seed} least={0} onChange={(seed) => wish({ seed })} />
        <label className="block space-y-1">
          <span>{words("negative")}</span>
          <textarea
            rows={2}
            className={FIELD}
            value={wishes.negative}
            onChange={(event) => wish({ negative: event.target.value })}
          />
        </label>
        <Chooser
          onFiles={([file]) => file && void begin(file, file.name)}
          className="w-full rounded-full px-4 py-1.5 ring-1 ring-line hover:bg-line/60"
        >
          {words("beginAnew")}
        </Chooser>
      </div>
    </details>
  );
}

function Reuses() {
  const words = useWords();
  const { wishes, wish } = useStudio();
  return (
    <div>
      <label className="flex items-center gap-2">
        <input
          type="checkbox"
          role="switch"
          aria-describedby="reuses-hint"
          className="size-4 accent-(--accent)"
          checked={wishes.reuses}
          onChange={(event) => wish({ reuses: event.target.checked })}
        />
        {words("reuses")}
      </label>
      <p id="reuses-hint" className="pt-0.5 text-sm text-muted">
        {words("reusesHint")}
      </p>
    </div>
  );
}

interface ChoiceProps {
  name: string;
  value: string | number;
  onChoose: (value: string) => void;
  children: ReactNode;
}

function Choice({ name, value, onChoose, children }: ChoiceProps) {
  return (
    <label className="block space-y-1">
      <span>{name}</span>
      <select className={FIELD} value={value} onChange={(event) => onChoose(event.target.value)}>
        {children}
      </select>
    </label>
  );
}

interface FigureProps {
  name: string;
  value: number | null;
  least: number;
  onChange: (value: number | null) => void;
}

function Figure({ name, value, least, onChange }: FigureProps) {
  const words = useWords();
  return (
    <label className="block space-y-1">
      <span>{name}</span>
      <input
        type="number"
        inputMode="numeric"
        min={least}
        max={2 ** 31 - 1}
        placeholder={words("unset")}
        className={FIELD}
        value={value ?? ""}
        onChange={({ target }) => onChange(target.value === "" ? null : Math.trunc(target.valueAsNumber))}
      />
    </label>
  );
}
