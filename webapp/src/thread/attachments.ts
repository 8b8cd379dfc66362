/** Files that go with a question, as the wire carries them. */

import type { Part } from "../wire/api";
import { dataUrl } from "../wire/bytes";

export const MAX_BYTES = 48 * 1024 * 1024;

export interface Attachment {
  id: string;
  name: string;
  kind: "image" | "audio" | "video";
  /** A data URL. */
  url: string;
}

export type Refusal = { reason: "tooLarge" | "unknownFile"; name: string; bytes: number };

/** Read a file, or say why it cannot go along. */
export async function read(file: File): Promise<Attachment | Refusal> {
  const [kind] = file.type.split("/");
  if (kind !== "image" && kind !== "audio" && kind !== "video") {
    return { reason: "unknownFile", name: file.name, bytes: file.size };
  }
  if (file.size > MAX_BYTES) return { reason: "tooLarge", name: file.name, bytes: file.size };
  return { id: crypto.randomUUID(), name: file.name, kind, url: await dataUrl(file) };
}

export function partOf({ kind, url }: Attachment): Part {
  switch (kind) {
    case "image":
      return { type: "image_url", image_url: { url } };
    case "video":
      return { type: "video_url", video_url: { url } };
    case "audio":
      return {
        type: "input_audio",
        input_audio: { data: url.slice(url.indexOf(",") + 1), format: formatOf(url) },
      };
  }
}

/** Name the format of sound as the wire spells it. */
export function formatOf(url: string): string {
  const subtype = /^data:audio\/(?:x-)?(\w+)/.exec(url)?.[1] ?? "wav";
  return { mpeg: "mp3", wave: "wav", mp4: "m4a" }[subtype] ?? subtype;
}
