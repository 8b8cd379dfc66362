/** The conversation that is open, and how it goes on. */

import { create } from "zustand";
import { Player } from "../sound/player";
import { ask, listModels, type Delta, type Model, type Part, type WireMessage } from "../wire/api";
import { EMPTY, add, change, choose, newTurn, shown, type Tree, type Turn } from "./tree";

interface Thread {
  models: Model[];
  model: Model | null;
  /** The voice that answers are spoken with, or null if they are only written. */
  voice: string | null;
  tree: Tree;
  isBusy: boolean;
  isOffline: boolean;
  connect: () => Promise<void>;
  speakWith: (voice: string | null) => void;
  send: (parts: Part[]) => void;
  edit: (turn: Turn, parts: Part[]) => void;
  regenerate: (turn: Turn) => void;
  show: (turn: Turn) => void;
  stop: () => void;
  reset: () => void;
  replay: (turn: Turn) => void;
  /** Keep what was said in a call as turns of this conversation. */
  keepCall: (lines: Spoken[]) => void;
  choose: (model: Model) => void;
}

interface Spoken {
  role: Turn["role"];
  text: string;
  sound: Int16Array[];
}

const player = new Player();
let running: AbortController | null = null;

export const useThread = create<Thread>((set, get) => {
  const update = (id: string, apply: (turn: Turn) => Turn) =>
    set(({ tree }) => ({ tree: change(tree, id, apply) }));

  /** Answer the turns that are shown, of which the last is the user's. */
  const answer = async (): Promise<void> => {
    if (get().model === null) await get().connect();
    const { model, voice, tree } = get();
    const path = shown(tree);
    if (model === null) return; // the screen says that the server is silent
    const turn = newTurn(path.at(-1)?.id ?? null, "assistant", [{ type: "text", text: "" }]);
    turn.figures = { askedAt: performance.now() };
    const abort = new AbortController();
    running = abort;
    player.stop();
    set({ tree: add(tree, turn), isBusy: true });
    try {
      const messages = path.map(wireOf);
      const spoken = voice === null ? {} : { voice };
      for await (const delta of ask({ model: model.id, messages, ...spoken, signal: abort.signal })) {
        if (delta.kind === "sound") player.play(delta.pcm);
        update(turn.id, (old) => grown(old, delta));
      }
      update(turn.id, (old) => ({ ...old, state: "done" }));
    } catch (error) {
      const state = abort.signal.aborted ? "stopped" : { error: (error as Error).message };
      update(turn.id, (old) => ({ ...old, state }));
    } finally {
      update(turn.id, (old) => ({ ...old, figures: { ...old.figures, totalS: since(old) } }));
      if (running === abort) {
        running = null;
        set({ isBusy: false });
      }
    }
  };

  return {
    models: [],
    model: null,
    voice: null,
    tree: EMPTY,
    isBusy: false,
    isOffline: false,
    connect: async () => {
      try {
        const models = await listModels();
        set({ models, model: models[0] ?? null, isOffline: false });
      } catch {
        set({ isOffline: true });
      }
    },
    speakWith: (voice) => {
      if (voice === null) player.stop();
      set({ voice });
    },
    send: (parts) => {
      const last = shown(get().tree).at(-1);
      set({ tree: add(get().tree, newTurn(last?.id ?? null, "user", parts)) });
      void answer();
    },
    edit: (turn, parts) => {
      get().stop();
      set({ tree: add(get().tree, newTurn(turn.parent, "user", parts)) });
      void answer();
    },
    regenerate: (turn) => {
      get().stop();
      const question = turn.parent === null ? undefined : get().tree.turns[turn.parent];
      if (question === undefined) return;
      const { [question.id]: _, ...chosen } = get().tree.chosen;
      set({ tree: { ...get().tree, chosen } });
      void answer();
    },
    show: (turn) => set({ tree: choose(get().tree, turn) }),
    stop: () => {
      running?.abort();
      player.stop();
    },
    reset: () => {
      get().stop();
      set({ tree: EMPTY });
    },
    keepCall: (lines) => {
      let { tree } = get();
      for (const { role, text, sound } of lines) {
        const parent = shown(tree).at(-1)?.id ?? null;
        const turn = newTurn(parent, role, [{ type: "text", text }]);
        tree = add(tree, { ...turn, state: "done", sound });
      }
      set({ tree });
    },
    choose: (model) => set({ model }),
    replay: (turn) => {
      player.stop();
      for (const pcm of turn.sound) player.play(pcm);
    },
  };
});

function since(turn: Turn): number {
  return (performance.now() - (turn.figures.askedAt ?? 0)) / 1000;
}

/** Add to a turn what came of its answer. */
export function grown(turn: Turn, delta: Delta): Turn {
  const figures = { ...turn.figures };
  switch (delta.kind) {
    case "text": {
      figures.firstTextS ??= since(turn);
      if (turn.reasoning !== "") figures.reasoningS ??= since(turn);
      const [first] = turn.parts;
      const before = first?.type === "text" ? first.text : "";
      return { ...turn, figures, parts: [{ type: "text", text: before + delta.text }] };
    }
    case "reasoning":
      return { ...turn, figures, reasoning: turn.reasoning + delta.text };
    case "sound":
      figures.firstSoundS ??= since(turn);
      return { ...turn, figures, sound: [...turn.sound, delta.pcm] };
    case "usage":
      return { ...turn, figures: { ...figures, usage: delta.usage } };
    case "end":
      return turn;
  }
}

function wireOf(turn: Turn): WireMessage {
  const [only, ...others] = turn.parts;
  const isPlain = only?.type === "text" && others.length === 0;
  return { role: turn.role, content: isPlain ? only.text : turn.parts };
}
