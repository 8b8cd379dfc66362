import { expect, test } from "vitest";
import { loudness } from "./microphone";
import { wavOf } from "./wav";

test("a WAV file says how long it is", async () => {
  const file = wavOf([new Int16Array([1, -1]), new Int16Array([2])], 16_000);
  const bytes = new DataView(await file.arrayBuffer());
  expect(bytes.byteLength).toBe(50);
  expect(bytes.getUint32(24, true)).toBe(16_000);
  expect(bytes.getUint32(40, true)).toBe(6);
  expect(bytes.getInt16(46, true)).toBe(-1);
});

test("silence has no loudness, and full scale has all", () => {
  expect(loudness(new Int16Array(4))).toBe(0);
  expect(loudness(new Int16Array(4).fill(-32_768))).toBe(1);
  expect(loudness(new Int16Array())).toBe(0);
});
