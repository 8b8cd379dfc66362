/** How fast an answer was written. */

/** Less than this, and the answer came as one piece, whose own time says nothing. */
const LEAST_WRITING_S = 0.1;

/** Tokens a second, from the first token on where there is enough of it, else of the whole wait. */
export function tokensPerSecond(tokens: number, firstTextS: number, totalS: number): number {
  const writingS = totalS - firstTextS;
  if (writingS >= LEAST_WRITING_S) return (tokens - 1) / writingS;
  return tokens / Math.max(totalS, 0.001);
}
