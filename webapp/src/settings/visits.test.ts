import { expect, test } from "vitest";
import type { Departure } from "../wire/api";
import { visits } from "./visits";

const left = (host: string, path: string, more: Partial<Departure> = {}): Departure => ({
  at: 1,
  purpose: "model",
  host,
  path,
  has_key: false,
  ...more,
});

test("what goes to one host for one purpose is one visit", () => {
  const found = visits([
    left("hub", "/b", { at: 3 }),
    left("hub", "/a", { at: 2, has_key: true }),
    left("hub", "/a"),
    left("hub", "", { purpose: "media" }),
    left("other", "/c"),
  ]);
  expect(found.map(({ host, purpose, count }) => [host, purpose, count])).toEqual([
    ["hub", "model", 3],
    ["hub", "media", 1],
    ["other", "model", 1],
  ]);
  expect(found[0]).toMatchObject({ at: 3, hasKey: true, paths: ["/b", "/a"] });
});
