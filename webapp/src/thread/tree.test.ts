import { expect, test } from "vitest";
import { EMPTY, add, change, choose, newTurn, shown, siblings, textOf } from "./tree";

const said = (text: string) => [{ type: "text" as const, text }];

test("turns follow one another", () => {
  const question = newTurn(null, "user", said("a"));
  const answer = newTurn(question.id, "assistant", said("b"));
  const tree = add(add(EMPTY, question), answer);
  expect(shown(tree).map(textOf)).toEqual(["a", "b"]);
  expect(answer.state).toBe("writing");
});

test("an edit begins a branch, and the old one can be shown again", () => {
  const first = newTurn(null, "user", said("a"));
  const answer = newTurn(first.id, "assistant", said("b"));
  const second = newTurn(null, "user", said("c"));
  const tree = add(add(add(EMPTY, first), answer), second);
  expect(shown(tree).map(textOf)).toEqual(["c"]);
  expect(siblings(tree, second).map(textOf)).toEqual(["a", "c"]);
  expect(shown(choose(tree, first)).map(textOf)).toEqual(["a", "b"]);
});

test("a turn that is not there is not changed", () => {
  const tree = add(EMPTY, newTurn(null, "user", said("a")));
  expect(change(tree, "none", (turn) => ({ ...turn, reasoning: "x" }))).toBe(tree);
});
