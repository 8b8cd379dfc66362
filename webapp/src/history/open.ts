/** A kept conversation as the tree that the thread shows, and back to what the wire carries. */

import type { Part, WireMessage } from "../wire/api";
import { formatOf } from "../thread/attachments";
import { EMPTY, add, type Tree, type Turn } from "../thread/tree";
import { fileOf, messagesOf, type Conversation, type Message, type Piece } from "./api";

/** Fetch a conversation with all its branches; the one that was shown last is shown. */
export async function open(conversation: Conversation): Promise<Tree> {
  return treeOf(await messagesOf(conversation.id), conversation.leaf_id);
}

export function treeOf(messages: Message[], leaf: string | null): Tree {
  let tree = EMPTY;
  const spoken = messages.filter(({ role }) => role === "user" || role === "assistant");
  for (const message of spoken) tree = add(tree, turnOf(message));
  const chosen = { ...tree.chosen };
  for (let id = leaf; id !== null; id = tree.turns[id]?.parent ?? null) {
    const turn = tree.turns[id];
    if (turn) chosen[turn.parent ?? ""] = id;
  }
  return { ...tree, chosen };
}

function turnOf({ id, parent_id, role, content, reasoning, status }: Message): Turn {
  return {
    id,
    parent: parent_id,
    role: role as Turn["role"],
    parts: content.length > 0 ? content.map(partOf) : [{ type: "text", text: "" }],
    reasoning: reasoning ?? "",
    state: status === "complete" ? "done" : "stopped",
    sound: [],
    figures: {},
  };
}

function partOf(piece: Piece): Part {
  if (piece.type === "text") return { type: "text", text: piece.text };
  const url = `kept:${piece.hash}`;
  switch (piece.kind) {
    case "image":
      return { type: "image_url", image_url: { url } };
    case "video":
      return { type: "video_url", video_url: { url } };
    case "audio":
      return { type: "input_audio", input_audio: { data: url, format: "wav" } };
  }
}

/** Write a turn for the model, with kept files fetched. */
export async function wireOf(turn: Turn): Promise<WireMessage> {
  const parts = await Promise.all(turn.parts.map(fetched));
  const [only, ...others] = parts;
  const isPlain = only?.type === "text" && others.length === 0;
  return { role: turn.role, content: isPlain ? only.text : parts };
}

/** Write an answer that is to go on, with the reasoning that it may be in the middle of. */
export async function begunOf(turn: Turn): Promise<WireMessage> {
  const begun = await wireOf(turn);
  return turn.reasoning ? { ...begun, reasoning_content: turn.reasoning } : begun;
}

async function fetched(part: Part): Promise<Part> {
  switch (part.type) {
    case "text":
      return part;
    case "image_url":
      return { type: "image_url", image_url: { url: await urlOf(part.image_url.url) } };
    case "video_url":
      return { type: "video_url", video_url: { url: await urlOf(part.video_url.url) } };
    case "input_audio": {
      const { data, format } = part.input_audio;
      if (!data.startsWith("kept:")) return part;
      const url = await urlOf(data);
      const sound = { data: url.slice(url.indexOf(",") + 1), format: formatOf(url) || format };
      return { type: "input_audio", input_audio: sound };
    }
  }
}

/** Give a URL that a page or a model can read. */
export function urlOf(url: string): Promise<string> {
  const hash = /^kept:(\w+)$/.exec(url)?.[1];
  return hash === undefined ? Promise.resolve(url) : fileOf(hash);
}
