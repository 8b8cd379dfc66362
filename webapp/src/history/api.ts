/** Conversations that the server keeps, and the files in them. */

import { request } from "../wire/api";
import { dataUrl } from "../wire/bytes";

export interface Conversation {
  id: string;
  title: string;
  updated_s: number;
  is_pinned: boolean;
  leaf_id: string | null;
}

export type Piece =
  | { type: "text"; text: string }
  | { type: "media"; kind: "image" | "audio" | "video"; hash: string; media_type: string };

export interface Message {
  id: string;
  parent_id: string | null;
  role: "system" | "user" | "assistant" | "tool";
  content: Piece[];
  reasoning: string | null;
  status: "complete" | "incomplete" | "interrupted";
}

export interface Hit {
  conversation: Conversation;
  excerpt: string;
}

const ALL = "api/v1/conversations";
const MAX_KEEPALIVE = 32_768; // characters; browsers allow 64 KiB of all such requests together
const one = (id: string) => `${ALL}/${id}`;

export const list = async () => (await json<{ data: Conversation[] }>(`${ALL}?limit=200`)).data;
export const search = async (words: string) =>
  (await json<{ data: Hit[] }>(`${ALL}/search?q=${encodeURIComponent(words)}`)).data;
export const create = (title: string, model: string) =>
  json<Conversation>(ALL, "POST", { title, model });
export const change = (id: string, what: { title?: string; is_pinned?: boolean; leaf_id?: string }) =>
  json<Conversation>(one(id), "PATCH", what);
export const remove = (id: string) => request(one(id), { method: "DELETE" });
export const exported = (id: string, format: "json" | "markdown") =>
  request(`${one(id)}/export?format=${format}`).then((response) => response.blob());
export const bringBack = async (file: Blob) =>
  (await request(`${ALL}/import`, { method: "POST", body: file })).json() as Promise<Conversation>;

export interface NewMessage {
  role: "user" | "assistant";
  content: Piece[];
  parent_id?: string;
  is_first?: boolean;
  reasoning?: string;
  status?: "complete" | "incomplete";
  model?: string;
}

export const messagesOf = async (id: string) =>
  (await json<{ data: Message[] }>(`${one(id)}/messages`)).data;
export const add = (id: string, message: NewMessage) =>
  json<Message>(`${one(id)}/messages`, "POST", message);
export const update = (id: string, messageId: string, what: object) =>
  json<Message>(`${one(id)}/messages/${messageId}`, "PATCH", what);

/** Keep a file; gives the hash that messages name it by. */
export async function keepFile(file: Blob): Promise<string> {
  const response = await request("api/v1/media", { method: "POST", body: file });
  return ((await response.json()) as { hash: string }).hash;
}

const files = new Map<string, Promise<string>>();

/** Give a kept file as a data URL. */
export function fileOf(hash: string): Promise<string> {
  let found = files.get(hash);
  if (!found) {
    found = request(`api/v1/media/${hash}`)
      .then((response) => response.blob())
      .then(dataUrl);
    files.set(hash, found);
  }
  return found;
}

async function json<Answer>(path: string, method = "GET", body?: object): Promise<Answer> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  // What is small is kept even if the page is closed meanwhile.
  const sent = text === undefined ? {} : { body: text, keepalive: text.length < MAX_KEEPALIVE };
  const response = await request(path, { method, ...sent });
  return (await response.json()) as Answer;
}
