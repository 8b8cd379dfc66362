/** The pictures that are being changed: which is at hand, what is painted, what is going on. */

import { create } from "zustand";
import { useThread } from "../thread/store";
import { edit, type EditNews, type Wishes } from "../wire/images";
import { NotAPicture, branch, pictureOf, type Picture } from "./edits";
import { NO_MASK, fileOf, isEmpty, openMask, type Mask } from "./mask";
import * as shelf from "./shelf";

export const MAX_INPUTS = 3;
const SEEDS = 2 ** 31;

/** How far an edit has come. */
export interface Job {
  stage: string;
  /** The part of all pictures that is drawn, or null while it cannot be told. */
  done: number | null;
  leftS: number | null;
  number: number;
  count: number;
  preview: string | null;
}

type Problem =
  | { reason: "notAPicture" | "tooManyPictures"; name: string }
  | { reason: "unsaved"; problem: string }
  | { message: string };
/** What the user wishes; an open seed is drawn anew each time. */
export type Open = Omit<Wishes, "seed"> & { seed: number | null };

interface Studio {
  pictures: Picture[];
  /** The picture that is changed next. */
  base: string | null;
  shown: string | null;
  /** Pictures 2 and 3 of the prompt. */
  others: Picture[];
  mask: Mask;
  wishes: Open;
  job: Job | null;
  problem: Problem | null;
  /** Show again what was kept in this browser; once for a page. */
  restore: () => Promise<void>;
  /** Take files in: the first to be changed if there is none yet, others beside it. */
  take: (files: Iterable<File>) => Promise<void>;
  /** Begin with another picture; those before stay in the tree. */
  begin: (file: Blob, title: string) => Promise<void>;
  drop: (other: Picture) => void;
  /** Forget a picture and all that was made of it. */
  forget: (id: string) => void;
  show: (id: string) => void;
  useAsInput: (id: string) => void;
  setMask: (mask: Mask) => void;
  wish: (wishes: Partial<Open>) => void;
  start: (model: string) => Promise<void>;
  stop: () => void;
}

const BASE = "myna-picture"; // where the browser remembers which picture goes in

let running: AbortController | null = null;
let isRestored = false;

export const useStudio = create<Studio>((set, get) => {
  const unsaved = (error: Error) => set({ problem: { reason: "unsaved", problem: error.message } });
  const put = (picture: Picture) => {
    set(({ pictures }) => ({ pictures: [...pictures, picture] }));
    void shelf.keep(picture).catch(unsaved);
  };
  /** Choose the picture that is changed next, and remember it. */
  const chosen = (base: string | null) => {
    if (base === null) localStorage.removeItem(BASE);
    else localStorage.setItem(BASE, base);
    return { base };
  };
  const find = (id: string | null) => get().pictures.find((picture) => picture.id === id);
  const opened = async (file: Blob, title: string) => {
    try {
      return await pictureOf(file, { title });
    } catch (error) {
      if (!(error instanceof NotAPicture)) throw error;
      set({ problem: { reason: "notAPicture", name: error.message } });
      return null;
    }
  };
  const begin = async (file: Blob, title: string) => {
    set({ problem: null });
    const picture = await opened(file, title);
    if (!picture) return;
    put(picture);
    set({ ...chosen(picture.id), shown: picture.id, mask: NO_MASK });
  };
  const hear = async (news: EditNews, asked: Wishes, base: Picture) => {
    const job = get().job;
    if (job === null) return;
    switch (news.kind) {
      case "progress":
        set({ job: advanced(job, news) });
        return;
      case "preview": {
        if (job.preview) URL.revokeObjectURL(job.preview);
        set({ job: { ...job, preview: URL.createObjectURL(news.file) } });
        return;
      }
      case "picture": {
        const seed = asked.seed + news.index;
        const { file, reuse } = news;
        const made = await pictureOf(file, { title: asked.prompt, parent: base.id, seed, reuse });
        put(made);
        if (news.index === 0) set({ shown: made.id });
      }
    }
  };

  return {
    pictures: [],
    base: null,
    shown: null,
    others: [],
    mask: NO_MASK,
    wishes: {
      prompt: "",
      count: 1,
      seed: null,
      negative: "",
      size: null,
      workPx: null,
      steps: null,
      reuses: false,
    },
    job: null,
    problem: null,
    restore: async () => {
      if (isRestored) return;
      isRestored = true;
      try {
        const kept = await shelf.all();
        set(({ pictures, base, shown }) => {
          const last = kept.find(({ id }) => id === localStorage.getItem(BASE)) ?? kept.at(-1);
          const found = last?.id ?? null;
          const before = kept.filter(({ id }) => !pictures.some((picture) => picture.id === id));
          return { pictures: [...before, ...pictures], base: base ?? found, shown: shown ?? found };
        });
      } catch (error) {
        unsaved(error as Error);
      }
    },
    begin,
    take: async (files) => {
      set({ problem: null });
      for (const file of files) {
        if (find(get().base) === undefined) await begin(file, file.name);
        else if (get().others.length >= MAX_INPUTS - 1) {
          set({ problem: { reason: "tooManyPictures", name: file.name } });
        } else {
          const other = await opened(file, file.name);
          if (other) set(({ others }) => ({ others: [...others, other] }));
        }
      }
    },
    drop: (other) => {
      URL.revokeObjectURL(other.url);
      set(({ others }) => ({ others: others.filter(({ id }) => id !== other.id) }));
    },
    forget: (id) => {
      const gone = branch(get().pictures, id);
      for (const picture of get().pictures) if (gone.has(picture.id)) URL.revokeObjectURL(picture.url);
      const pictures = get().pictures.filter((picture) => !gone.has(picture.id));
      const left = (wanted: string | null) =>
        wanted !== null && !gone.has(wanted) ? wanted : (pictures.at(-1)?.id ?? null);
      const base = left(get().base);
      set({ pictures, ...chosen(base), shown: gone.has(get().shown ?? "") ? base : get().shown });
      void shelf.forget(gone).catch(unsaved);
    },
    show: (shown) => set({ shown }),
    useAsInput: (id) => set({ ...chosen(id), shown: id }),
    setMask: (mask) => set({ mask }),
    wish: (wishes) => set((old) => ({ wishes: { ...old.wishes, ...wishes } })),
    start: async (model) => {
      const { wishes, mask, others } = get();
      const base = find(get().base);
      if (base === undefined || get().job !== null || wishes.prompt.trim() === "") return;
      const abort = new AbortController();
      running = abort;
      const asked = { ...wishes, seed: wishes.seed ?? Math.floor(Math.random() * SEEDS) };
      const first = { stage: "reading", done: null, leftS: null, number: 1, preview: null };
      set({ job: { ...first, count: asked.count }, problem: null });
      try {
        const pictures = [base, ...others].map(({ file }) => file);
        const sent = await maskFor(mask, base, others.length);
        for await (const news of edit({ ...asked, model, pictures, mask: sent, signal: abort.signal })) {
          await hear(news, asked, base);
        }
      } catch (error) {
        if (!abort.signal.aborted) set({ problem: { message: (error as Error).message } });
      } finally {
        const preview = get().job?.preview;
        if (preview) URL.revokeObjectURL(preview);
        set({ job: null });
      }
    },
    stop: () => running?.abort(),
  };
});

/** Write the mask; of several pictures it also says that the first is the one to change. */
async function maskFor(mask: Mask, { width, height }: Picture, numOthers: number): Promise<Blob | null> {
  if (!isEmpty(mask)) return fileOf(mask, width, height);
  return numOthers > 0 ? openMask(width, height) : null;
}

/** Take what was told of an edit; only drawing takes long enough to be measured. */
export function advanced(job: Job, news: Extract<EditNews, { kind: "progress" }>): Job {
  const number = news.index + 1;
  const isDrawing = news.stage === "drawing";
  const done = isDrawing ? (news.index + news.done) / job.count : job.done;
  return { ...job, stage: news.stage, number, done, leftS: news.leftS ?? (isDrawing ? null : job.leftS) };
}

/** Find the loaded model that changes pictures. */
export function useEditor() {
  return useThread(({ models }) => models.find((model) => model.capabilities?.includes("edit")));
}
