import { expect, test } from "vitest";
import { triesFor } from "./tries";

const names = (input: string[], output: string[]) =>
  triesFor({ id: "m", modalities: { input, output } }).map((item) => item.words);

test("a model that only reads gets four questions in words", () => {
  expect(names(["text"], ["text"])).toEqual(["trySum", "tryExplain", "tryList", "tryTranslate"]);
});

test("an omni model is shown things and asked to speak", () => {
  const all = ["text", "image", "audio", "video"];
  expect(names(all, ["text", "audio"])).toEqual(["trySee", "tryWatch", "tryRead", "trySum"]);
});
