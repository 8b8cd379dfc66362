/** Pictures and what was made of them: a tree, as every result can be changed again. */

import type { Reuse } from "../wire/images";

export interface Picture {
  id: string;
  /** The picture that this one was made of; null for those that came from outside. */
  parent: string | null;
  file: Blob;
  /** An address of this page alone. */
  url: string;
  width: number;
  height: number;
  /** Its prompt, or the name of its file. */
  title: string;
  seed: number | null;
  /** How much of an edit was taken from its own earlier steps; null where nothing could be. */
  reuse: Reuse | null;
}

interface Origin {
  title: string;
  parent?: string | null;
  seed?: number | null;
  reuse?: Reuse | null;
}

/** Open a file as a picture; throws if it is none. */
export async function pictureOf(
  file: Blob,
  { title, parent = null, seed = null, reuse = null }: Origin,
): Promise<Picture> {
  const url = URL.createObjectURL(file);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(url);
    throw new NotAPicture(title);
  }
  const { naturalWidth: width, naturalHeight: height } = image;
  return { id: crypto.randomUUID(), parent, file, url, width, height, title, seed, reuse };
}

/** A file that this browser cannot show; its message is the file's name. */
export class NotAPicture extends Error {}

export function madeOf(pictures: Picture[], parent: string | null): Picture[] {
  return pictures.filter((picture) => picture.parent === parent);
}

/** List a picture and all that was made of it, and of that. */
export function branch(pictures: Picture[], id: string): Set<string> {
  const found = new Set([id]);
  for (const { id: each, parent } of pictures) if (parent !== null && found.has(parent)) found.add(each);
  return found;
}
