/** A voice call over OpenAI's realtime protocol. */

import { callProtocols, paceOf, type Pace } from "./api";
import { base64Of, samplesOf } from "./bytes";

export const RATE_HZ = 24_000;

export type CallEvent =
  | { kind: "ready" }
  | { kind: "listening"; itemId: string }
  | { kind: "heard"; itemId: string; text: string }
  | { kind: "says"; itemId: string; text: string }
  | { kind: "cut"; itemId: string; text: string }
  | { kind: "sound"; itemId: string; pcm: Int16Array; factor?: number }
  | { kind: "done"; status: string }
  | { kind: "error"; message: string }
  | { kind: "closed" };

interface ServerEvent {
  type: string;
  item_id?: string;
  delta?: string;
  transcript?: string;
  error?: { message: string };
  myna?: Pace;
  response?: { status: string };
  item?: { id: string; content?: { transcript?: string | null }[] };
}

export class Call {
  private socket: WebSocket;

  constructor(model: string, voice: string | null, onEvent: (event: CallEvent) => void) {
    const address = new URL("v1/realtime", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    address.searchParams.set("model", model);
    this.socket = new WebSocket(address, callProtocols());
    this.socket.onmessage = ({ data }: MessageEvent<string>) => {
      const found = read(JSON.parse(data) as ServerEvent);
      if (found?.kind === "ready") this.configure(model, voice);
      if (found) onEvent(found);
    };
    this.socket.onclose = () => onEvent({ kind: "closed" });
  }

  private configure(model: string, voice: string | null): void {
    const format = { type: "audio/pcm", rate: RATE_HZ };
    this.send({
      type: "session.update",
      session: {
        type: "realtime",
        output_modalities: ["audio"],
        audio: {
          input: { format, transcription: { model }, turn_detection: { type: "server_vad" } },
          output: { format, ...(voice === null ? {} : { voice }) },
        },
      },
    });
  }

  /** Send 20 ms of the microphone. */
  hear(frame: Int16Array): void {
    this.send({ type: "input_audio_buffer.append", audio: base64Of(frame) });
  }

  /** Let the model see a picture with what is said next. */
  show(url: string): void {
    const content = [{ type: "input_image", image_url: url }];
    this.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  }

  /** Say that the answer was cut off after so much of its sound, and ask what was said until then. */
  truncate(itemId: string, heardMs: number): void {
    const place = { item_id: itemId, content_index: 0, audio_end_ms: heardMs };
    this.send({ type: "conversation.item.truncate", ...place });
    this.send({ type: "conversation.item.retrieve", item_id: itemId });
  }

  cancel(): void {
    this.send({ type: "response.cancel" });
  }

  end(): void {
    this.socket.onclose = null;
    this.socket.close();
  }

  private send(event: object): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }
}

/** Read an event of the server; null for those that this app has no use for. */
export function read(event: ServerEvent): CallEvent | null {
  const itemId = event.item_id ?? "";
  switch (event.type) {
    case "session.created":
      return { kind: "ready" };
    case "input_audio_buffer.speech_started":
      return { kind: "listening", itemId };
    case "conversation.item.input_audio_transcription.completed":
      return { kind: "heard", itemId, text: event.transcript ?? "" };
    case "response.output_audio_transcript.delta":
      return { kind: "says", itemId, text: event.delta ?? "" };
    case "response.output_audio.delta":
      return { kind: "sound", itemId, pcm: samplesOf(event.delta ?? ""), ...paceOf(event) };
    case "response.done":
      return { kind: "done", status: event.response?.status ?? "" };
    case "conversation.item.retrieved": {
      const text = event.item?.content?.map(({ transcript }) => transcript ?? "").join("") ?? "";
      return { kind: "cut", itemId: event.item?.id ?? "", text };
    }
    case "error":
      return { kind: "error", message: event.error?.message ?? "" };
    default:
      return null;
  }
}
