/** Everything the app can do, by name: Ctrl or Command with K. */

import { Command } from "cmdk";
import { useEffect, useRef, useState } from "react";
import { toggleTheme } from "../theme";
import { useThread } from "../thread/store";
import { useWords } from "../words";
import { SCREENS, go } from "./screens";

export default function Palette({ onClose }: { onClose: () => void }) {
  const words = useWords();
  const { models, voice, model, choose, reset, speakWith } = useThread();
  const [typed, setTyped] = useState("");
  const run = (action: () => void) => () => {
    onClose();
    action();
  };
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const item = "cursor-pointer rounded-lg px-3 py-2 data-[selected=true]:bg-line/60";
  return (
    <dialog
      ref={dialog}
      aria-label={words("palette")}
      className="mx-auto mt-[12vh] w-[min(36rem,92vw)] rounded-2xl bg-raised p-2 text-ink shadow-xl ring-1 ring-line backdrop:bg-black/40"
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
     <Command label={words("palette")}>
      <Command.Input
        autoFocus
        value={typed}
        onValueChange={setTyped}
        placeholder={words("search")}
        className="w-full bg-transparent px-3 py-2 outline-none"
      />
      <Command.List className="max-h-80 overflow-y-auto">
        <Command.Empty className="px-3 py-2 text-muted">{words("nothing")}</Command.Empty>
        <Command.Item className={item} onSelect={run(() => reset())}>
          {words("newChat")}
        </Command.Item>
        {SCREENS.map((screen) => (
          <Command.Item key={screen} className={item} onSelect={run(() => go(screen))}>
            {words(screen)}
          </Command.Item>
        ))}
        <Command.Item className={item} onSelect={run(toggleTheme)}>
          {words("theme")}
        </Command.Item>
        <Command.Item
          className={item}
          onSelect={run(() => speakWith(voice === null ? (model?.voices?.[0] ?? null) : null))}
        >
          {words(voice === null ? "speakAnswers" : "quiet")}
        </Command.Item>
        {models.map((other) => (
          <Command.Item key={other.id} className={item} onSelect={run(() => choose(other))}>
            {words("model")}: {other.id}
          </Command.Item>
        ))}
      </Command.List>
     </Command>
    </dialog>
  );
}
