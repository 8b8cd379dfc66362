import { expect, test } from "vitest";
import { formatOf, partOf } from "./attachments";

test("sound carries its format and its bytes alone", () => {
  const url = "data:audio/x-wav;base64,AAAA";
  expect(partOf({ id: "1", name: "a.wav", kind: "audio", url })).toEqual({
    type: "input_audio",
    input_audio: { data: "AAAA", format: "wav" },
  });
  expect(formatOf("data:audio/mpeg;base64,")).toBe("mp3");
  expect(formatOf("data:audio/ogg;base64,")).toBe("ogg");
});

test("pictures and clips stay data URLs", () => {
  const url = "data:image/png;base64,AAAA";
  expect(partOf({ id: "1", name: "a.png", kind: "image", url })).toEqual({
    type: "image_url",
    image_url: { url },
  });
});
