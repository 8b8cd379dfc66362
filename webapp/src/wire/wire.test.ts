import { expect, test } from "vitest";
import { deltasOf } from "./api";
import { events } from "./sse";

function streamOf(...pieces: string[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(encoder.encode(piece));
      controller.close();
    },
  });
}

async function collect(...pieces: string[]): Promise<string[]> {
  const found = [];
  for await (const data of events(streamOf(...pieces))) found.push(data);
  return found;
}

test("events may be cut anywhere", async () => {
  expect(await collect("da", "ta: {1}\n", "\nda", "ta: {2}\r\n\r\n")).toEqual(["{1}", "{2}"]);
});

test("comments are passed over, and lines of one event belong together", async () => {
  expect(await collect(": ping\n\n", "event: x\ndata: a\ndata:b\n\n")).toEqual(["a\nb"]);
});

test("a chunk becomes text, reasoning, sound, figures and an end", () => {
  const choice = {
    finish_reason: "stop",
    delta: { content: "hi", reasoning_content: "hm", audio: { data: btoa("\x01\x00\xff\xff") } },
  };
  const usage = { prompt_tokens: 1, completion_tokens: 2 };
  expect([...deltasOf({ choices: [choice], usage })]).toEqual([
    { kind: "reasoning", text: "hm" },
    { kind: "text", text: "hi" },
    { kind: "sound", pcm: new Int16Array([1, -1]) },
    { kind: "end", reason: "stop" },
    { kind: "usage", usage },
  ]);
});

test("an error in the stream is the server's own words", () => {
  expect(() => [...deltasOf({ error: { message: "too long" } })]).toThrow("too long");
});
