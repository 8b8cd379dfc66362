/** When each word of a spoken answer is heard. */

import { postJson } from "../wire/api";
import { loudness } from "./microphone";
import { RATE_HZ } from "./player";

const FRAME = RATE_HZ / 100; // the server wants a loudness for each hundredth of a second

export interface Word {
  word: string;
  end_char: number;
  start_s: number;
  end_s: number;
}

/** Ask the server, which gets the loudness alone. */
export async function wordTimes(text: string, sound: Int16Array[]): Promise<Word[]> {
  const levels = levelsOf(sound);
  return (await postJson<{ words: Word[] }>("api/v1/word-times", { text, levels })).words;
}

export function levelsOf(sound: Int16Array[]): number[] {
  const all = new Int16Array(sound.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of sound) {
    all.set(part, at);
    at += part.length;
  }
  const count = Math.floor(all.length / FRAME);
  return Array.from({ length: count }, (_, i) => loudness(all.subarray(i * FRAME, (i + 1) * FRAME)));
}

/** Tell how much of a text was heard by a time: the place where the current word ends. */
export function heardUntil(words: Word[], atS: number): number {
  return words.findLast((word) => word.start_s <= atS)?.end_char ?? 0;
}
