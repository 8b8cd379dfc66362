import { expect, test } from "vitest";
import { heardUntil, levelsOf } from "./words";

test("a loudness for each hundredth of a second, across pieces", () => {
  const loud = new Int16Array(360).fill(16_384);
  const levels = levelsOf([loud, new Int16Array(240)]);
  expect(levels).toHaveLength(2);
  expect(levels[0]).toBe(0.5);
  expect(levels[1]).toBeCloseTo(0.3536, 3);
});

test("the text is followed word by word", () => {
  const words = [
    { word: "one", end_char: 3, start_s: 0.1, end_s: 0.4 },
    { word: "two", end_char: 7, start_s: 0.5, end_s: 0.9 },
  ];
  expect([0, 0.2, 0.45, 2].map((at) => heardUntil(words, at))).toEqual([0, 3, 3, 7]);
});
