import { expect, test } from "vitest";
import { firstOf } from "./samples";

const pieces = [new Int16Array([1, 2]), new Int16Array([3, 4])];

test("sound is cut within a piece, and what is longer than it stays whole", () => {
  expect(firstOf(pieces, 3)).toEqual([new Int16Array([1, 2]), new Int16Array([3])]);
  expect(firstOf(pieces, 2)).toEqual([new Int16Array([1, 2])]);
  expect(firstOf(pieces, 0)).toEqual([]);
  expect(firstOf(pieces, 9)).toEqual(pieces);
});
