import { expect, test } from "vitest";
import { tokensPerSecond } from "./speed";

test("the first token's wait does not count", () => {
  expect(tokensPerSecond(41, 2, 4)).toBe(20);
});

test("an answer that came as one piece is measured from the question on", () => {
  expect(tokensPerSecond(6, 0.3, 0.301)).toBeCloseTo(6 / 0.301);
  expect(tokensPerSecond(6, 0, 0)).toBe(6000);
});
