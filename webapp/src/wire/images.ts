/** Changing pictures by words: OpenAI's edits, read as they come. */

import { ServerError, request } from "./api";
import { fileOf } from "./bytes";
import { events } from "./sse";

const PREVIEWS = 3;
const TYPE = "image/png";
const REUSE_BELOW = 0.1; // of a step, the change below which most of it is taken from an earlier one

export interface Wishes {
  prompt: string;
  /** How many pictures to make. */
  count: number;
  seed: number;
  negative: string;
  /** Width and height as `640x480`, or null for the picture's own. */
  size: string | null;
  /** Pixels of the picture that the model works on, or null for its usual number. */
  workPx: number | null;
  /** Steps out of noise, or null for the model's usual number. */
  steps: number | null;
  /** Whether to take up steps that hardly change: faster, and not the same picture. */
  reuses: boolean;
}

export interface EditRequest extends Wishes {
  model: string;
  /** Picture 1 is the one that is changed. */
  pictures: Blob[];
  /** As large as picture 1, which is changed where the mask is transparent. */
  mask: Blob | null;
  signal: AbortSignal;
}

export type EditNews =
  | { kind: "progress"; index: number; stage: string; done: number; leftS: number | null }
  | { kind: "preview"; index: number; file: Blob }
  | { kind: "picture"; index: number; file: Blob; reuse: Reuse | null };

/** How many steps took most from an earlier one, of how many. */
export interface Reuse {
  reused: number;
  steps: number;
}

/** Ask for an edit, and yield how it comes along, previews and pictures. */
export async function* edit(asked: EditRequest): AsyncGenerator<EditNews> {
  const { body } = await request("v1/images/edits", {
    method: "POST",
    body: formOf(asked),
    signal: asked.signal,
  });
  if (body === null) throw new ServerError("The server's answer is empty.");
  for await (const data of events(body)) {
    if (data === "[DONE]") return;
    const news = newsOf(JSON.parse(data) as ImageEvent);
    if (news) yield news;
  }
}

/** Write what is asked for as a form; wishes that were left open stay out of it. */
export function formOf({ model, pictures, mask, ...wishes }: Omit<EditRequest, "signal">): FormData {
  const form = new FormData();
  const fields = {
    model,
    prompt: wishes.prompt,
    n: wishes.count,
    seed: wishes.seed,
    negative_prompt: wishes.negative || null,
    size: wishes.size,
    work_px: wishes.workPx,
    steps: wishes.steps,
    step_cache: wishes.reuses ? REUSE_BELOW : null,
    stream: true,
    partial_images: PREVIEWS,
  };
  for (const [name, value] of Object.entries(fields)) {
    if (value !== null) form.set(name, String(value));
  }
  for (const picture of pictures) form.append("image[]", picture, "picture");
  if (mask) form.set("mask", mask, "mask.png");
  return form;
}

interface ImageEvent {
  type?: string;
  index?: number;
  b64_json?: string;
  stage?: string;
  progress?: number;
  remaining_s?: number;
  reuse?: { reused_steps: number; steps: number };
  error?: { message: string };
}

/** Read one event; null for those that this app has no use for. */
export function newsOf(event: ImageEvent): EditNews | null {
  if (event.error) throw new ServerError(event.error.message);
  const index = event.index ?? 0;
  switch (event.type) {
    case "image_edit.progress": {
      const { stage = "", progress = 0, remaining_s } = event;
      return { kind: "progress", index, stage, done: progress, leftS: remaining_s ?? null };
    }
    case "image_edit.partial_image":
      return { kind: "preview", index, file: fileOf(event.b64_json ?? "", TYPE) };
    case "image_edit.completed": {
      const { reuse: told } = event;
      const reuse = told ? { reused: told.reused_steps, steps: told.steps } : null;
      return { kind: "picture", index, file: fileOf(event.b64_json ?? "", TYPE), reuse };
    }
    default:
      return null;
  }
}
