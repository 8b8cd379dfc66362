/** Keeps the open conversation on the server, turn by turn, in the order in which they come. */

import type { Part } from "../wire/api";
import { blobOf } from "../wire/bytes";
import type { Turn } from "../thread/tree";
import { textOf } from "../thread/tree";
import * as api from "./api";

const TITLE_CHARS = 60;

export class Keeper {
  private work: Promise<void> = Promise.resolve();
  /** The server's names of turns, by ours. */
  private ids = new Map<string, string>();

  /**
   * @param conversation - The conversation's id, or null until the first turn is kept.
   * @param onChange - Told after each turn; with an error, if it could not be kept.
   */
  constructor(
    public conversation: string | null,
    private onChange: (problem: string | null) => void,
  ) {}

  /** Say that a turn is on the server already, under the same id. */
  know(turn: Turn): void {
    this.ids.set(turn.id, turn.id);
  }

  add(turn: Turn, model: string): void {
    this.after(async () => {
      const content = await Promise.all(turn.parts.map(pieceOf));
      this.conversation ??= (await api.create(titleOf(turn), model)).id;
      const parent = turn.parent === null ? undefined : this.ids.get(turn.parent);
      const kept = await api.add(this.conversation, {
        role: turn.role,
        content: content.filter((piece) => piece.type !== "text" || piece.text !== ""),
        ...(parent === undefined ? { is_first: true } : { parent_id: parent }),
        ...(turn.reasoning ? { reasoning: turn.reasoning } : {}),
        status: turn.state === "writing" ? "incomplete" : "complete",
        ...(turn.role === "assistant" ? { model } : {}),
      });
      this.ids.set(turn.id, kept.id);
    });
  }

  /** Write on at a turn that was added before. */
  update(turn: Turn): void {
    this.after(async () => {
      const id = this.ids.get(turn.id);
      if (id === undefined || this.conversation === null) return;
      await api.update(this.conversation, id, {
        content: textOf(turn),
        ...(turn.reasoning ? { reasoning: turn.reasoning } : {}),
        status: turn.state === "writing" ? "incomplete" : turn.state === "done" ? "complete" : "interrupted",
      });
    });
  }

  /** Remember which branch is shown. */
  show(turn: Turn): void {
    this.after(async () => {
      const id = this.ids.get(turn.id);
      if (id !== undefined && this.conversation !== null) {
        await api.change(this.conversation, { leaf_id: id });
      }
    });
  }

  private after(step: () => Promise<void>): void {
    this.work = this.work.then(step).then(
      () => this.onChange(null),
      (error: Error) => this.onChange(error.message),
    );
  }
}

function titleOf(turn: Turn): string {
  const text = textOf(turn).trim().replace(/\s+/g, " ");
  return text.length > TITLE_CHARS ? `${text.slice(0, TITLE_CHARS)}…` : text || "…";
}

async function pieceOf(part: Part): Promise<api.Piece> {
  if (part.type === "text") return part;
  const { kind, url } = mediumOf(part);
  const kept = /^kept:(\w+)$/.exec(url)?.[1];
  if (kept) return { type: "media", kind, hash: kept, media_type: kind };
  const file = blobOf(url);
  return { type: "media", kind, hash: await api.keepFile(file), media_type: file.type };
}

function mediumOf(part: Exclude<Part, { type: "text" }>) {
  switch (part.type) {
    case "image_url":
      return { kind: "image", url: part.image_url.url } as const;
    case "video_url":
      return { kind: "video", url: part.video_url.url } as const;
    case "input_audio": {
      const { data, format } = part.input_audio;
      const url = data.startsWith("kept:") ? data : `data:audio/${format};base64,${data}`;
      return { kind: "audio", url } as const;
    }
  }
}
