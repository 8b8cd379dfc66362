/** The server as this app uses it: OpenAI's routes, on the origin that served the page. */

import { events } from "./sse";

export interface Model {
  id: string;
  modalities?: { input: string[]; output: string[] };
  voices?: string[];
}

export type Part =
  | { type: "text"; text: string }
  | { type: "image_url"; image_url: { url: string } }
  | { type: "input_audio"; input_audio: { data: string; format: string } }
  | { type: "video_url"; video_url: { url: string } };

export interface WireMessage {
  role: "system" | "user" | "assistant";
  content: string | Part[];
}

export interface Ask {
  model: string;
  messages: WireMessage[];
  /** The voice to speak with; without one, the answer is only written. */
  voice?: string;
  signal: AbortSignal;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
}

export type Delta =
  | { kind: "text"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "sound"; pcm: Int16Array }
  | { kind: "usage"; usage: Usage }
  | { kind: "end"; reason: string };

/** What the server said was wrong, in words for the user. */
export class ServerError extends Error {}

let key: string | null = null;

/** Use a key from now on; it is kept for this tab alone. */
export function useKey(value: string | null): void {
  key = value;
}

function headers(): Record<string, string> {
  return key === null ? {} : { Authorization: `Bearer ${key}` };
}

export async function listModels(): Promise<Model[]> {
  const response = await fetch("v1/models", { headers: headers() });
  if (!response.ok) throw new ServerError(await messageOf(response));
  return ((await response.json()) as { data: Model[] }).data;
}

/** Ask, and yield the answer as it is written and spoken. */
export async function* ask({ model, messages, voice, signal }: Ask): AsyncGenerator<Delta> {
  const spoken =
    voice === undefined ? {} : { modalities: ["text", "audio"], audio: { voice, format: "pcm16" } };
  const response = await fetch("v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers() },
    body: JSON.stringify({
      model,
      messages,
      stream: true,
      stream_options: { include_usage: true },
      ...spoken,
    }),
    signal,
  });
  if (!response.ok || response.body === null) throw new ServerError(await messageOf(response));
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    yield* deltasOf(JSON.parse(data) as Chunk);
  }
}

interface Chunk {
  error?: { message: string };
  usage?: Usage | null;
  choices?: {
    finish_reason: string | null;
    delta: {
      content?: string | null;
      reasoning_content?: string | null;
      audio?: { data?: string; transcript?: string } | null;
    };
  }[];
}

/** Read one chunk of a stream. */
export function* deltasOf(chunk: Chunk): Generator<Delta> {
  if (chunk.error) throw new ServerError(chunk.error.message);
  for (const { delta, finish_reason } of chunk.choices ?? []) {
    if (delta.reasoning_content) yield { kind: "reasoning", text: delta.reasoning_content };
    if (delta.content) yield { kind: "text", text: delta.content };
    if (delta.audio?.data) yield { kind: "sound", pcm: samplesOf(delta.audio.data) };
    if (finish_reason) yield { kind: "end", reason: finish_reason };
  }
  if (chunk.usage) yield { kind: "usage", usage: chunk.usage };
}

function samplesOf(base64: string): Int16Array {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Int16Array(bytes.buffer, 0, bytes.length >> 1);
}

async function messageOf(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error?: { message?: string } };
    if (body.error?.message) return body.error.message;
  } catch {
    // The answer is not ours: a proxy's page, say. The status must do.
  }
  return `The server answered ${response.status}.`;
}
