/** Keeps pictures, and what was made of which, in this browser: a reload loses nothing. */

import type { Picture } from "./edits";

const NAME = "myna-pictures";
const STORE = "pictures";
const VERSION = 1;

/** A picture as it is kept; `url` is of a page, and pages end. */
export type Kept = Omit<Picture, "url"> & { keptAt: number };

let opened: Promise<IDBDatabase> | null = null;

/** Keep a picture; throws what the browser has against it, such as a full disk. */
export async function keep({ url: _, ...picture }: Picture): Promise<void> {
  const keptAt = performance.timeOrigin + performance.now();
  await within("readwrite", (store) => store.put({ ...picture, keptAt } satisfies Kept));
}

export async function forget(ids: Iterable<string>): Promise<void> {
  for (const id of ids) await within("readwrite", (store) => store.delete(id));
}

/** Give all that is kept, oldest first, with addresses for this page. */
export async function all(): Promise<Picture[]> {
  const kept: Kept[] = await within("readonly", (store) => store.getAll());
  kept.sort((a, b) => a.keptAt - b.keptAt);
  return kept.map(({ keptAt: _, ...picture }) => ({ ...picture, url: URL.createObjectURL(picture.file) }));
}

async function within<T>(
  mode: IDBTransactionMode,
  use: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  opened ??= settled(opening()).catch((error: unknown) => {
    opened = null; // it may open another time
    throw error;
  });
  return settled(use((await opened).transaction(STORE, mode).objectStore(STORE)));
}

function opening(): IDBOpenDBRequest {
  const request = indexedDB.open(NAME, VERSION);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return request;
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("This browser keeps nothing."));
  });
}
