/** Sound in pieces, as it comes. */

/** Give the pieces up to a number of samples, the last one cut. */
export function firstOf(pieces: Int16Array[], count: number): Int16Array[] {
  const kept: Int16Array[] = [];
  let left = Math.round(count);
  for (const piece of pieces) {
    if (left <= 0) break;
    kept.push(piece.length > left ? piece.slice(0, left) : piece);
    left -= piece.length;
  }
  return kept;
}
