/** How much of an answer to hold back, so that it is heard without gaps where it is made slowly. */

const AHEAD_S = 10; // what is to be heard without a gap; answers are seldom longer
const MEASURED_S = 0.15; // of sound, before its rate is believed: small pieces come in clumps

export class Pace {
  private firstAt: number | null = null;
  private lastAt = 0;
  private sinceFirstS = 0;
  /** Seconds of sound that come in a second as told, or as they came in the answers before. */
  private before: number | null = null;

  /**
   * Note that so much sound has come.
   *
   * @param factor - Seconds that a second of sound takes to make, if the server told.
   */
  arrive(durationS: number, nowS: number, factor?: number): void {
    if (factor !== undefined) this.before = 1 / factor;
    if (this.firstAt === null) this.firstAt = nowS;
    else this.sinceFirstS += durationS; // how long the first piece took is not known
    this.lastAt = nowS;
  }

  /** End an answer; how fast it came is remembered for the next one. */
  end(): void {
    if (this.sinceFirstS >= MEASURED_S) this.before = this.rate;
    this.firstAt = null;
    this.sinceFirstS = 0;
  }

  /** Seconds of sound that come in a second, or null while nothing tells. */
  get rate(): number | null {
    if (this.firstAt === null || this.sinceFirstS < MEASURED_S) return this.before;
    return this.sinceFirstS / Math.max(0, this.lastAt - this.firstAt);
  }

  /** Seconds of sound to have in hand before the first of them is heard. */
  get heldS(): number {
    const rate = this.rate;
    // The second piece of a quick answer comes long before the first would end.
    return rate === null ? Infinity : AHEAD_S * Math.max(0, 1 - rate);
  }

  /** Tell whether sound is known to come slower than it is heard. */
  get isSlow(): boolean {
    return (this.rate ?? Infinity) < 1;
  }
}
