/** Four things to try, chosen by what the model can take; each is really asked. */

import { partOf, read } from "../thread/attachments";
import { useThread } from "../thread/store";
import type { Model } from "../wire/api";
import { useWords } from "../words";
import { triesFor, type Try } from "./tries";

export function Tries({ model }: { model: Model }) {
  const words = useWords();
  const { send, speakWith } = useThread.getState();
  const ask = async ({ words: name, file, isSpoken }: Try) => {
    const parts = [];
    if (file) {
      const response = await fetch(`./tries/${file}`);
      const found = await read(new File([await response.blob()], file, { type: typeOf(file) }));
      if (!("reason" in found)) parts.push(partOf(found));
    }
    if (isSpoken) speakWith(model.voices?.[0] ?? null);
    send([...parts, { type: "text", text: words(name) }]);
  };
  return (
    <section aria-label={words("tryThese")} className="grid gap-2 pt-6 sm:grid-cols-2">
      {triesFor(model).map((item) => (
        <button
          key={item.words}
          type="button"
          className="flex items-center gap-3 rounded-2xl border border-line bg-raised p-3 text-start hover:border-accent"
          onClick={() => void ask(item)}
        >
          {item.file?.endsWith(".png") && (
            <img src={`./tries/${item.file}`} alt="" className="size-12 rounded-lg object-cover" />
          )}
          {item.file?.endsWith(".mp4") && (
            <video src={`./tries/${item.file}`} muted preload="metadata" className="size-12 rounded-lg" />
          )}
          <span>
            {words(item.words)}
            {item.isSpoken && <span className="text-muted"> ({words("aloud")})</span>}
          </span>
        </button>
      ))}
    </section>
  );
}

function typeOf(name: string): string {
  return name.endsWith(".mp4") ? "video/mp4" : "image/png";
}
