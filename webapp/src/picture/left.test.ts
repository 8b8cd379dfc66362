import { expect, test } from "vitest";
import { en } from "../words/en";
import { filled } from "../words/fill";
import { timeLeft } from "./left";

const words = (name: keyof typeof en, fill = {}) => filled(en[name], fill);

test("the time left is a range until enough is done, and then one figure", () => {
  expect(timeLeft(words, 100, 0)).toBe("between 1 min and 3 min left");
  expect(timeLeft(words, 100, 0.5)).toBe("about 2 min left");
  expect(timeLeft(words, 2, 0.01)).toBe("about 5 s left");
  expect(timeLeft(words, 31, 0.9)).toBe("about 30 s left");
  expect(timeLeft(words, 5400, 0.9)).toBe("about 1.5 h left");
});
