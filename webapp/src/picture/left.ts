/** How long an edit will go on, in words: a range until enough of it is done to know better. */

import type { Words } from "../words/en";

const KNOWN = 0.15; // of the work, after which one figure will do
const SPREAD = 1.6;

type Say = (name: keyof Words, fill?: Record<string, string | number>) => string;

export function timeLeft(words: Say, leftS: number, done: number): string {
  if (done >= KNOWN) return words("timeLeft", { time: duration(words, leftS) });
  const [from, to] = [duration(words, leftS / SPREAD), duration(words, leftS * SPREAD)];
  if (from === to) return words("timeLeft", { time: from });
  return words("timeLeftBetween", { from, to });
}

/** Round to what a person would say. */
export function duration(words: Say, seconds: number): string {
  if (seconds < 55) return words("seconds", { number: Math.max(5, 5 * Math.round(seconds / 5)) });
  const minutes = Math.max(1, Math.round(seconds / 60));
  if (minutes < 60) return words("minutes", { number: minutes });
  return words("hours", { number: (minutes / 60).toFixed(minutes < 600 ? 1 : 0) });
}
