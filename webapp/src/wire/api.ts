/** The server as this app uses it: OpenAI's routes, on the origin that served the page. */

import { samplesOf } from "./bytes";
import { events } from "./sse";

export interface Model {
  id: string;
  modalities?: { input: string[]; output: string[] };
  voices?: string[];
  capabilities?: string[];
}

export type Part =
  | { type: "text"; text: string }
  | { type: "image_url"; image_url: { url: string } }
  | { type: "input_audio"; input_audio: { data: string; format: string } }
  | { type: "video_url"; video_url: { url: string } };

export interface WireMessage {
  role: "system" | "user" | "assistant";
  content: string | Part[];
  reasoning_content?: string;
}

export interface Ask {
  model: string;
  messages: WireMessage[];
  /** The voice to speak with; without one, the answer is only written. */
  voice?: string;
  /** Whether the last message is an answer that goes on; what comes is the rest of it. */
  continues: boolean;
  signal: AbortSignal;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
}

export type Delta =
  | { kind: "text"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "sound"; pcm: Int16Array; factor?: number }
  | { kind: "usage"; usage: Usage }
  | { kind: "end"; reason: string };

/** What the server said was wrong, in words for the user. */
export class ServerError extends Error {
  constructor(
    message: string,
    readonly status: number | null = null,
  ) {
    super(message);
  }
}

let key: string | null = null;

/** Send a key from now on; it is kept for this tab alone. */
export function sendKey(value: string | null): void {
  key = value;
}

/** The subprotocols of a call: a page cannot give a WebSocket the key in a header. */
export function callProtocols(): string[] {
  return ["realtime", ...(key === null ? [] : [`openai-insecure-api-key.${key}`])];
}

function headers(): Record<string, string> {
  return key === null ? {} : { Authorization: `Bearer ${key}` };
}

export async function listModels(): Promise<Model[]> {
  return (await call<{ data: Model[] }>("v1/models")).data;
}

/** A model of the catalogue or of this machine, as Myna's own routes describe it. */
export interface Title {
  key: string;
  display_name: string;
  size_bytes: number;
  is_downloaded: boolean;
  licence: string | null;
  /** Memory it takes as it comes, and once it is quantized; null where that cannot be told. */
  needs_bytes: number | null;
  packed_needs_bytes: number | null;
  /** Whether the machine's memory holds it so. */
  fits: boolean | null;
  fits_packed: boolean | null;
  fit: Fit | null;
  loaded_instances: { id: string; status: string; progress: number | null }[];
}

/** What running a model takes on this machine, as it was measured. */
export interface Fit {
  peak_bytes: number;
  fits: boolean;
  tokens_per_s: number | null;
}

/** How far a download has come. */
export interface Job {
  job_id: string;
  model: string;
  status: string;
  total_size_bytes: number;
  downloaded_bytes: number;
  bytes_per_second: number | null;
  error: string | null;
}

export const listTitles = () => call<{ models: Title[]; memory_bytes: number }>("api/v1/models");
export const measure = (model: string) => call<Fit>("api/v1/models/fit", { model });

/** A request that left the machine; `at` is in seconds since 1970. */
export interface Departure {
  at: number;
  purpose: "model" | "media";
  host: string;
  path: string;
  has_key: boolean;
}

/** What left the machine, the newest first, and the folder in which all else stays. */
export const openLedger = () => call<{ folder: string; data: Departure[] }>("api/v1/ledger");

/** What the server and its engines hold in memory, and what the machine has. */
export const memory = () => call<{ used_bytes: number; machine_bytes: number }>("api/v1/memory");

export const load = (model: string) => call("api/v1/models/load", { model });
export const unload = (instance_id: string) => call("api/v1/models/unload", { instance_id });
export const download = (model: string) => call<Job>("api/v1/models/download", { model });
export const cancelDownload = (job_id: string) => call("api/v1/models/download/cancel", { job_id });
export const jobOf = (job_id: string) => call<Job>(`api/v1/models/download/status/${job_id}`);

/** Call any route of the server; what it refuses is thrown in its own words. */
export async function request(path: string, { headers: more, ...rest }: RequestInit = {}) {
  const response = await fetch(path, { ...rest, headers: { ...headers(), ...more } });
  if (!response.ok) throw new ServerError(await messageOf(response), response.status);
  return response;
}

export const postJson = <Answer>(path: string, body: object) => call<Answer>(path, body);

/** Call a route that answers in JSON; with a body, by POST. */
async function call<Answer = unknown>(path: string, body?: object): Promise<Answer> {
  const json = { "Content-Type": "application/json" };
  const posted = { method: "POST", headers: json, body: JSON.stringify(body) };
  const response = await request(path, body === undefined ? {} : posted);
  return (await response.json()) as Answer;
}

/** Let the model say a text; gives the samples of a WAV file's body at 24 kHz. */
export async function speak(model: string, voice: string, input: string): Promise<Int16Array> {
  const response = await fetch("v1/audio/speech", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers() },
    body: JSON.stringify({ model, voice, input, response_format: "pcm" }),
  });
  if (!response.ok) throw new ServerError(await messageOf(response));
  const bytes = await response.arrayBuffer();
  return new Int16Array(bytes, 0, bytes.byteLength >> 1);
}

/** Ask, and yield the answer as it is written and spoken. */
export async function* ask({ model, messages, voice, continues, signal }: Ask): AsyncGenerator<Delta> {
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
      ...(continues ? { continue_final_message: true, add_generation_prompt: false } : {}),
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

/** What Myna adds to OpenAI's answers: how many seconds a second of sound takes to make. */
export interface Pace {
  realtime_factor?: number | null;
}

interface Chunk {
  error?: { message: string };
  usage?: Usage | null;
  myna?: Pace;
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
    if (delta.audio?.data) yield { kind: "sound", pcm: samplesOf(delta.audio.data), ...paceOf(chunk) };
    if (finish_reason) yield { kind: "end", reason: finish_reason };
  }
  if (chunk.usage) yield { kind: "usage", usage: chunk.usage };
}

/** Read how fast sound is made, where that is told. */
export function paceOf({ myna }: { myna?: Pace }): { factor?: number } {
  return myna?.realtime_factor ? { factor: myna.realtime_factor } : {};
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
