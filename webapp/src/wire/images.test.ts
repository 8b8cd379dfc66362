import { expect, test } from "vitest";
import { formOf, newsOf } from "./images";

const open = { prompt: "x", count: 2, seed: 7, negative: "", size: null, workPx: null, steps: null, reuses: false };

test("wishes that were left open stay out of the form", () => {
  const form = formOf({ ...open, model: "m", pictures: [new Blob(["a"]), new Blob(["b"])], mask: null });
  expect([...new Set(form.keys())].sort()).toEqual(
    ["image[]", "model", "n", "partial_images", "prompt", "seed", "stream"],
  );
  expect(form.getAll("image[]")).toHaveLength(2);
  expect(form.get("n")).toBe("2");
});

test("steps are taken up only where that is wished for, and the server tells how many were", () => {
  const form = formOf({ ...open, reuses: true, model: "m", pictures: [], mask: null });
  expect(form.get("step_cache")).toBe("0.1");
  const reuse = { reused_steps: 12, steps: 40 };
  expect(newsOf({ type: "image_edit.completed", b64_json: "", reuse })).toMatchObject({
    reuse: { reused: 12, steps: 40 },
  });
});

test("events become progress, previews and pictures, and errors are the server's words", async () => {
  const type = (name: string) => `image_edit.${name}`;
  expect(newsOf({ type: type("progress"), stage: "drawing", progress: 0.5, remaining_s: 3 })).toEqual({
    kind: "progress",
    index: 0,
    stage: "drawing",
    done: 0.5,
    leftS: 3,
  });
  const made = newsOf({ type: type("completed"), index: 1, b64_json: btoa("png") });
  expect(made).toMatchObject({ kind: "picture", index: 1, reuse: null });
  expect(await (made as { file: Blob }).file.text()).toBe("png");
  expect(newsOf({ type: type("partial_image"), b64_json: "" })?.kind).toBe("preview");
  expect(newsOf({ type: "unknown" })).toBeNull();
  expect(() => newsOf({ error: { message: "no room" } })).toThrow("no room");
});
