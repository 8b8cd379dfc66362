/** The thread, and below it the composer. */

import { useRef } from "react";
import { go } from "../shell/screens";
import { Behind } from "../sound/Behind";
import { player, useThread } from "../thread/store";
import { shown } from "../thread/tree";
import type { Model } from "../wire/api";
import { useWords } from "../words";
import { Composer } from "./Composer";
import { Tries } from "./Tries";
import { TurnView } from "./Turn";
import { useEnd } from "./end";

function writes(model: Model): boolean {
  return model.modalities?.output.includes("text") ?? true;
}

function ChangesPictures() {
  const words = useWords();
  return (
    <>
      <p className="pt-4 pb-3 text-muted">{words("onlyPictures")}</p>
      <button
        type="button"
        className="rounded-full bg-accent px-4 py-2 font-medium text-[#14161a]"
        onClick={() => go("picture")}
      >
        {words("choosePicture")}
      </button>
    </>
  );
}

export function Talk() {
  const words = useWords();
  const { tree, model, isBusy, trouble, isTemporary, unsaved, connect } = useThread();
  const turns = shown(tree);
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  useEnd(scroller, content, turns.at(-1)?.id ?? null);
  return (
    <main className="flex h-full min-w-0 grow flex-col">
      <div ref={scroller} data-scroller className="grow overflow-y-auto" tabIndex={-1}>
        <div ref={content} className="mx-auto w-full max-w-[44rem] space-y-6 px-4 py-6">
          {trouble && (
            <p role="alert" className="text-error">
              {words(trouble)}{" "}
              <button
                type="button"
                className="underline"
                onClick={() => (trouble === "wantsKey" ? go("settings") : void connect())}
              >
                {words(trouble === "wantsKey" ? "settings" : "retry")}
              </button>
            </p>
          )}
          {turns.length === 0 && (
            <header className="pt-[10vh] text-center">
              <img src="./myna.svg" alt="" className="mx-auto size-20" />
              <h1 className="pt-3 text-2xl font-semibold">{model?.id ?? "Myna"}</h1>
              {model && (writes(model) ? <Tries model={model} /> : <ChangesPictures />)}
            </header>
          )}
          {turns.length > 0 && <h1 className="sr-only">{words("talk")}</h1>}
          {turns.map((turn) => (
            <TurnView key={turn.id} turn={turn} />
          ))}
        </div>
      </div>
      <Behind player={player} />
      {(isTemporary || unsaved !== null) && (
        <p role="note" className="text-center text-sm text-muted">
          {isTemporary ? words("temporaryHint") : words("unsaved", { problem: unsaved ?? "" })}
        </p>
      )}
      <p role="status" className="sr-only">
        {turns.length > 0 && words(isBusy ? "writing" : "wrote", { model: model?.id ?? "" })}
      </p>
      <Composer />
    </main>
  );
}
