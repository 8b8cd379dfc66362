/** A call as the screen sees it: who speaks, what was said, and what ends it. */

import { create } from "zustand";
import { openMicrophone, type Microphone } from "../sound/microphone";
import { Player } from "../sound/player";
import { firstOf } from "../sound/samples";
import { useThread } from "../thread/store";
import { Call, RATE_HZ, type CallEvent } from "../wire/realtime";

export interface Line {
  itemId: string;
  role: "user" | "assistant";
  text: string;
  sound: Int16Array[];
  /** Whether it was spoken over; its words and its sound are what was heard of it. */
  isCut?: boolean;
  /** What the camera saw when it was said. */
  picture?: string;
}

interface Session {
  state: "off" | "dialling" | "on";
  lines: Line[];
  isMuted: boolean;
  /** Whether the microphone is open only while a key is held. */
  isHeld: boolean;
  problem: string | null;
  start: () => Promise<void>;
  end: () => void;
  mute: (isMuted: boolean) => void;
}

export const player = new Player();
let call: Call | null = null;
let microphone: Microphone | null = null;
let camera: Camera | null = null;
/** The answer that was spoken over; more of it may be under way. */
let cutItem: string | null = null;

/** Loudness of the user and of the model, for the two waves. */
export const levels = () => [microphone?.level() ?? 0, player.level()] as const;

export const useCall = create<Session>((set, get) => ({
  state: "off",
  lines: [],
  isMuted: false,
  isHeld: false,
  problem: null,
  start: async () => {
    const { model, voice } = useThread.getState();
    if (model === null || get().state !== "off") return;
    set({ state: "dialling", lines: [], problem: null });
    try {
      microphone = await openMicrophone(RATE_HZ, (frame) => call?.hear(frame));
      microphone.mute(get().isMuted);
    } catch (error) {
      set({ state: "off", problem: (error as Error).message });
      return;
    }
    call = new Call(model.id, voice ?? model.voices?.[0] ?? null, (event) => receive(event));
  },
  end: () => {
    call?.end();
    microphone?.close();
    player.stop();
    call = microphone = null;
    if (get().state !== "off") {
      const { lines } = get();
      const wasAnswered = (at: number) => at < lines.length - 1;
      const said = lines.filter(({ text, sound, picture }, at) => text || sound.length > 0 || (picture && wasAnswered(at)));
      useThread.getState().keepCall(said);
    }
    set({ state: "off" });
  },
  mute: (isMuted) => {
    microphone?.mute(isMuted);
    set({ isMuted });
  },
}));

function receive(event: CallEvent): void {
  const { getState: get, setState: set } = useCall;
  const grow = (itemId: string, role: Line["role"], update: (line: Line) => Line) => {
    const lines = [...get().lines];
    const at = lines.findIndex((line) => line.itemId === itemId);
    if (at >= 0) lines[at] = update(lines[at]!);
    else lines.push(update({ itemId, role, text: "", sound: [] }));
    set({ lines });
  };
  switch (event.kind) {
    case "ready":
      set({ state: "on" });
      break;
    case "listening": {
      interrupt();
      const picture = showCamera();
      // Above the answer, which may come sooner than the words of the question.
      grow(event.itemId, "user", (line) => (picture ? { ...line, picture } : line));
      break;
    }
    case "heard":
      grow(event.itemId, "user", (line) => ({ ...line, text: event.text }));
      break;
    case "says":
      if (event.itemId === cutItem) break;
      grow(event.itemId, "assistant", (line) => ({ ...line, text: line.text + event.text }));
      break;
    case "cut":
      grow(event.itemId, "assistant", (line) => ({ ...line, text: event.text }));
      break;
    case "sound":
      if (event.itemId === cutItem) break;
      player.play(event.pcm, event.factor);
      grow(event.itemId, "assistant", (line) => ({ ...line, sound: [...line.sound, event.pcm] }));
      break;
    case "done":
      player.end();
      break;
    case "error":
      set({ problem: event.message });
      break;
    case "closed":
      get().end();
      break;
  }
}

/** Fall silent because the user speaks; the server learns how much was heard. */
function interrupt(): void {
  const isHeard = player.isPlaying;
  const heardMs = player.stop(); // in any case: what is heard next counts from here
  const { lines } = useCall.getState();
  const spoken = lines.findLast((line) => line.role === "assistant");
  if (!isHeard || !spoken) return;
  cutItem = spoken.itemId;
  const sound = firstOf(spoken.sound, (heardMs * RATE_HZ) / 1000);
  const cut: Line = { ...spoken, sound, isCut: true };
  useCall.setState({ lines: lines.map((line) => (line === spoken ? cut : line)) });
  call?.truncate(spoken.itemId, heardMs);
}

export interface Camera {
  /** A JPEG of what is seen now, as a data URL. */
  picture: () => string | null;
  close: () => void;
}

/** Let the model look through a camera from now on, or no more. */
export function lookThrough(next: Camera | null): void {
  camera?.close();
  camera = next;
}

function showCamera(): string | null {
  const picture = camera?.picture() ?? null;
  if (picture) call?.show(picture);
  return picture;
}
