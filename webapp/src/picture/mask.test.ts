import { expect, test } from "vitest";
import { NO_MASK, clear, draw, isEmpty, redo, undo, type Stroke } from "./mask";

const brush: Stroke = { kind: "brush", width: 0.1, points: [[0, 0]] };
const eraser: Stroke = { ...brush, kind: "eraser" };

test("strokes are undone and redone, and a new one ends what could be redone", () => {
  const two = draw(draw(NO_MASK, brush), eraser);
  const one = undo(two);
  expect(one).toEqual({ strokes: [brush], undone: [eraser] });
  expect(redo(one)).toEqual(two);
  expect(draw(one, brush).undone).toEqual([]);
  expect(undo(NO_MASK)).toEqual(NO_MASK);
  expect(redo(NO_MASK)).toEqual(NO_MASK);
});

test("what was cleared counts as nothing painted, and can be had back", () => {
  const painted = draw(NO_MASK, brush);
  expect(isEmpty(painted)).toBe(false);
  expect(isEmpty(draw(NO_MASK, eraser))).toBe(true);
  expect(isEmpty(clear(painted))).toBe(true);
  expect(isEmpty(undo(clear(painted)))).toBe(false);
  expect(clear(NO_MASK)).toBe(NO_MASK);
});
