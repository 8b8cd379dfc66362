/** What an empty screen offers to try. */

import type { Model } from "../wire/api";
import type { Words } from "../words/en";

export interface Try {
  words: keyof Words;
  /** A file of the app's own that goes along. */
  file?: string;
  isSpoken?: boolean;
}

const COUNT = 4;
const PLAIN: Try[] = [
  { words: "trySum" },
  { words: "tryExplain" },
  { words: "tryList" },
  { words: "tryTranslate" },
];

/** Choose what a model can do, the most telling first. */
export function triesFor(model: Model): Try[] {
  const input = model.modalities?.input ?? [];
  const output = model.modalities?.output ?? [];
  const seen: Try[] = [];
  if (input.includes("image")) seen.push({ words: "trySee", file: "picture.png" });
  if (input.includes("video")) seen.push({ words: "tryWatch", file: "clip.mp4" });
  if (input.includes("image")) seen.push({ words: "tryRead", file: "line.png" });
  if (output.includes("audio")) seen.push({ words: "trySum", isSpoken: true });
  const others = PLAIN.filter((item) => !seen.some((other) => other.words === item.words));
  return [...seen, ...others].slice(0, COUNT);
}
