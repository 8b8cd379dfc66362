/** A conversation as a tree: editing a question or asking anew begins a branch. */

import type { Part, Usage } from "../wire/api";

export interface Turn {
  id: string;
  parent: string | null;
  role: "user" | "assistant";
  parts: Part[];
  reasoning: string;
  /** Why it is not whole: still being written, stopped by the user, too long, or the server's words. */
  state: "done" | "writing" | "stopped" | "cut" | { error: string };
  sound: Int16Array[];
  figures: Figures;
}

export interface Figures {
  askedAt?: number;
  firstTextS?: number;
  firstSoundS?: number;
  reasoningS?: number;
  totalS?: number;
  usage?: Usage;
  /** What the server held in memory when the answer was there. */
  memoryBytes?: number;
}

export interface Tree {
  turns: Record<string, Turn>;
  /** The turns below each turn, oldest first; first turns under the empty name. */
  children: Record<string, string[]>;
  /** The child that is shown of each turn; of the root under the empty name. */
  chosen: Record<string, string>;
}

export const EMPTY: Tree = { turns: {}, children: {}, chosen: {} };

export function newTurn(parent: string | null, role: Turn["role"], parts: Part[]): Turn {
  const state = role === "user" ? "done" : "writing";
  return { id: crypto.randomUUID(), parent, role, parts, reasoning: "", state, sound: [], figures: {} };
}

/** Add a turn and show it. */
export function add(tree: Tree, turn: Turn): Tree {
  const above = turn.parent ?? "";
  return {
    turns: { ...tree.turns, [turn.id]: turn },
    children: { ...tree.children, [above]: [...(tree.children[above] ?? []), turn.id] },
    chosen: { ...tree.chosen, [above]: turn.id },
  };
}

export function change(tree: Tree, id: string, update: (turn: Turn) => Turn): Tree {
  const turn = tree.turns[id];
  return turn ? { ...tree, turns: { ...tree.turns, [id]: update(turn) } } : tree;
}

/** The turns that are shown, first to last. */
export function shown(tree: Tree): Turn[] {
  const path: Turn[] = [];
  let id = tree.chosen[""];
  while (id !== undefined) {
    const turn = tree.turns[id];
    if (!turn) break;
    path.push(turn);
    id = tree.chosen[id];
  }
  return path;
}

/** A turn and those that stand in its place on other branches, oldest first. */
export function siblings(tree: Tree, turn: Turn): Turn[] {
  return (tree.children[turn.parent ?? ""] ?? []).flatMap((id) => tree.turns[id] ?? []);
}

/** Show another branch in the place of a turn. */
export function choose(tree: Tree, turn: Turn): Tree {
  return { ...tree, chosen: { ...tree.chosen, [turn.parent ?? ""]: turn.id } };
}

export function textOf(turn: Turn): string {
  return turn.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}
