/** The conversation that is open, and how it goes on. */

import { create } from "zustand";
import { Player } from "../sound/player";
import type { Conversation } from "../history/api";
import { Keeper } from "../history/keeper";
import { begunOf, open, wireOf } from "../history/open";
import { ServerError, ask, listModels, memory, type Delta, type Model, type Part, type WireMessage } from "../wire/api";
import { EMPTY, add, change, choose, newTurn, shown, type Tree, type Turn } from "./tree";

interface Thread {
  models: Model[];
  model: Model | null;
  /** The voice that answers are spoken with, or null if they are only written. */
  voice: string | null;
  tree: Tree;
  isBusy: boolean;
  /** Why no model is known: the server is silent, or wants a key. */
  trouble: "offline" | "wantsKey" | null;
  /** Whether this conversation is not kept, by wish. */
  isTemporary: boolean;
  /** Why the latest turn could not be kept. */
  unsaved: string | null;
  /** Counts what was kept, so that lists of conversations know when to look again. */
  numKept: number;
  /** The conversation that is open, once it is kept. */
  conversation: () => string | null;
  openKept: (conversation: Conversation) => Promise<void>;
  connect: () => Promise<void>;
  speakWith: (voice: string | null) => void;
  send: (parts: Part[]) => void;
  edit: (turn: Turn, parts: Part[]) => void;
  regenerate: (turn: Turn) => void;
  /** Let an answer that broke off go on where it ends. */
  proceed: (turn: Turn) => void;
  show: (turn: Turn) => void;
  stop: () => void;
  reset: (isTemporary?: boolean) => void;
  /** Keep what was said in a call as turns of this conversation. */
  keepCall: (lines: Spoken[]) => void;
  choose: (model: Model) => void;
}

interface Spoken {
  role: Turn["role"];
  text: string;
  sound: Int16Array[];
  picture?: string;
}

export const player = new Player();
const UNAUTHORIZED = 401;
const KEEP_MS = 1000;
const SHOW_MS = 40; // between two pictures of an answer: drawing each word would take the model's cores
let running: AbortController | null = null;
let keeper: Keeper | null = null;
let numResets = 0;

export const useThread = create<Thread>((set, get) => {
  const update = (id: string, apply: (turn: Turn) => Turn) =>
    set(({ tree }) => ({ tree: change(tree, id, apply) }));

  const newKeeper = (conversation: string | null) =>
    new Keeper(conversation, (unsaved) =>
      set(({ numKept }) => ({ unsaved, numKept: numKept + (unsaved === null ? 1 : 0) })),
    );
  keeper = newKeeper(null);
  /** Show a new turn, and keep it. */
  const put = (turn: Turn) => {
    set(({ tree }) => ({ tree: add(tree, turn) }));
    keeper?.add(turn, get().model?.id ?? "");
  };

  /** Answer the turns that are shown, of which the last is the user's. */
  const answer = async (): Promise<void> => {
    const asked = numResets;
    if (get().model === null) await get().connect();
    if (asked !== numResets) return; // meanwhile another conversation was begun
    if (get().model === null) return; // the screen says that the server is silent
    const path = shown(get().tree);
    const turn = newTurn(path.at(-1)?.id ?? null, "assistant", [{ type: "text", text: "" }]);
    turn.figures = { askedAt: performance.now() };
    put(turn);
    await write(turn, path.map(wireOf), { continues: false });
  };

  /** Let the model write a turn, from its beginning or from where it ends now. */
  const write = async (
    turn: Turn,
    asked: Promise<WireMessage>[],
    { continues }: { continues: boolean },
  ): Promise<void> => {
    const { model, voice } = get();
    if (model === null) return;
    const abort = new AbortController();
    running = abort;
    player.stop();
    set({ isBusy: true });
    let keptAt = performance.now();
    let isCut = false;
    let waiting: [Delta, number][] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const showMore = () => {
      const come = waiting;
      clearTimeout(timer);
      [waiting, timer] = [[], undefined];
      update(turn.id, (old) => come.reduce((so, [delta, at]) => grown(so, delta, at), old));
    };
    try {
      const messages = await Promise.all(asked);
      const spoken = voice === null ? {} : { voice };
      const { signal } = abort;
      for await (const delta of ask({ model: model.id, messages, ...spoken, continues, signal })) {
        if (delta.kind === "sound") player.play(delta.pcm, delta.factor);
        if (delta.kind === "end") isCut = delta.reason === "length";
        waiting.push([delta, performance.now()]);
        timer ??= setTimeout(showMore, SHOW_MS);
        if (performance.now() - keptAt > KEEP_MS) {
          showMore();
          keeper?.update(get().tree.turns[turn.id]!);
          keptAt = performance.now();
        }
      }
      showMore();
      player.end();
      update(turn.id, (old) => ({ ...old, state: isCut ? "cut" : "done" }));
    } catch (error) {
      showMore();
      const state = abort.signal.aborted ? "stopped" : { error: (error as Error).message };
      update(turn.id, (old) => ({ ...old, state }));
    } finally {
      update(turn.id, (old) => ({ ...old, figures: { ...old.figures, totalS: since(old) } }));
      const ended = get().tree.turns[turn.id];
      if (ended) keeper?.update(ended);
      if (running === abort) {
        running = null;
        set({ isBusy: false });
      }
      await weigh(turn);
    }
  };

  /** Note what the server holds in memory; a server that does not tell is not asked why. */
  const weigh = async (turn: Turn): Promise<void> => {
    const found = await memory().catch(() => null);
    if (!found?.used_bytes) return;
    const memoryBytes = found.used_bytes;
    update(turn.id, (old) => ({ ...old, figures: { ...old.figures, memoryBytes } }));
  };

  return {
    models: [],
    model: null,
    voice: null,
    tree: EMPTY,
    isBusy: false,
    trouble: null,
    isTemporary: false,
    unsaved: null,
    numKept: 0,
    conversation: () => keeper?.conversation ?? null,
    openKept: async (conversation) => {
      numResets += 1;
      get().stop();
      const tree = await open(conversation);
      keeper = newKeeper(conversation.id);
      for (const turn of Object.values(tree.turns)) keeper.know(turn);
      set({ tree, isTemporary: false, unsaved: null });
    },
    connect: async () => {
      try {
        const models = await listModels();
        const writer = models.find(({ modalities }) => modalities?.output.includes("text"));
        set({ models, model: writer ?? models[0] ?? null, trouble: null });
      } catch (error) {
        const isLocked = error instanceof ServerError && error.status === UNAUTHORIZED;
        set({ trouble: isLocked ? "wantsKey" : "offline" });
      }
    },
    speakWith: (voice) => {
      if (voice === null) player.stop();
      set({ voice });
    },
    send: (parts) => {
      const last = shown(get().tree).at(-1);
      put(newTurn(last?.id ?? null, "user", parts));
      void answer();
    },
    edit: (turn, parts) => {
      get().stop();
      put(newTurn(turn.parent, "user", parts));
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
    proceed: (turn) => {
      get().stop();
      const path = shown(get().tree);
      const at = path.findIndex(({ id }) => id === turn.id);
      if (at < 0) return;
      const { reasoningS } = turn.figures;
      const figures = { askedAt: performance.now(), ...(reasoningS === undefined ? {} : { reasoningS }) };
      update(turn.id, (old) => ({ ...old, state: "writing", figures }));
      const asked = path.slice(0, at).map(wireOf);
      void write(turn, [...asked, begunOf(turn)], { continues: true });
    },
    show: (turn) => {
      const tree = choose(get().tree, turn);
      set({ tree });
      keeper?.show(shown(tree).at(-1) ?? turn);
    },
    stop: () => {
      running?.abort();
      player.stop();
    },
    reset: (isTemporary = false) => {
      numResets += 1;
      get().stop();
      keeper = isTemporary ? null : newKeeper(null);
      set({ tree: EMPTY, isTemporary, unsaved: null });
    },
    keepCall: (lines) => {
      for (const { role, text, sound, picture } of lines) {
        const parent = shown(get().tree).at(-1)?.id ?? null;
        const seen: Part[] = picture ? [{ type: "image_url", image_url: { url: picture } }] : [];
        put({ ...newTurn(parent, role, [...seen, { type: "text", text }]), state: "done", sound });
      }
    },
    choose: (model) => set({ model }),
  };
});

function since(turn: Turn, at = performance.now()): number {
  return (at - (turn.figures.askedAt ?? 0)) / 1000;
}

/** Add to a turn what came of its answer at a time of `performance`. */
function grown(turn: Turn, delta: Delta, at: number): Turn {
  const figures = { ...turn.figures };
  switch (delta.kind) {
    case "text": {
      figures.firstTextS ??= since(turn, at);
      if (turn.reasoning !== "") figures.reasoningS ??= since(turn, at);
      const [first] = turn.parts;
      const before = first?.type === "text" ? first.text : "";
      return { ...turn, figures, parts: [{ type: "text", text: before + delta.text }] };
    }
    case "reasoning":
      return { ...turn, figures, reasoning: turn.reasoning + delta.text };
    case "sound":
      figures.firstSoundS ??= since(turn, at);
      return { ...turn, figures, sound: [...turn.sound, delta.pcm] };
    case "usage":
      return { ...turn, figures: { ...figures, usage: delta.usage } };
    case "end":
      return turn;
  }
}
