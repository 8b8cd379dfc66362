/** Plays spoken answers as they come; `stop` silences at once and tells how much was heard. */

import { Pace } from "./pace";

export const RATE_HZ = 24_000;
const LEAD_S = 0.02; // between the first samples and their sound

export class Player {
  private context: AudioContext | null = null;
  private analyser: AnalyserNode | null = null;
  private playing = new Set<AudioBufferSourceNode>();
  /** What came and is not to be heard yet. */
  private held: AudioBuffer[] = [];
  private pace = new Pace();
  private isWhole = true;
  private wasBehind = false;
  private listeners = new Set<() => void>();
  private startedAt = 0;
  private nextAt = 0;
  private queuedS = 0;

  /** Add samples after those that came before; they are held back while too few are in hand. */
  play(pcm: Int16Array, factor?: number): void {
    if (pcm.length === 0) return;
    const { context } = this.open();
    const buffer = context.createBuffer(1, pcm.length, RATE_HZ);
    buffer.copyToChannel(Float32Array.from(pcm, (sample) => sample / 32_768), 0);
    this.isWhole = false;
    this.held.push(buffer);
    this.pace.arrive(buffer.duration, performance.now() / 1000, factor);
    this.proceed();
  }

  /** Say that the answer is whole: what is held back is heard now. */
  end(): void {
    this.isWhole = true;
    this.pace.end();
    if (this.held.length > 0) this.proceed();
  }

  /** Drop what is queued and what sounds; give the milliseconds that were heard since the last stop. */
  stop(): number {
    const heard = this.heardMs;
    for (const node of this.playing) node.stop();
    this.playing.clear();
    this.held = [];
    this.nextAt = 0;
    this.queuedS = 0;
    this.isWhole = true;
    this.pace.end();
    this.tell();
    return heard;
  }

  /** Whether there is something that is heard or still to be heard. */
  get isPlaying(): boolean {
    return this.playing.size > 0 || this.held.length > 0;
  }

  /** Whether nothing is heard because speech comes slower than it is heard; see `subscribe`. */
  get isBehind(): boolean {
    return this.held.length > 0 && this.pace.isSlow;
  }

  /** Call `listener` when `isBehind` changes; gives what ends that. */
  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Milliseconds that were heard since the last stop. */
  get heardMs(): number {
    if (this.context === null || this.queuedS === 0) return 0;
    const passedS = this.context.currentTime - this.startedAt;
    return Math.round(1000 * Math.max(0, Math.min(passedS, this.queuedS)));
  }

  /** Loudness of what sounds, from 0 to 1. */
  level(): number {
    if (this.analyser === null || !this.isPlaying) return 0;
    const wave = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(wave);
    return Math.sqrt(wave.reduce((sum, sample) => sum + sample * sample, 0) / wave.length);
  }

  /** Queue what is held, if something sounds already or there is enough to begin. */
  private proceed(): void {
    const { context } = this.open();
    const heldS = this.held.reduce((sum, { duration }) => sum + duration, 0);
    if (this.nextAt > context.currentTime || this.isWhole || heldS >= this.pace.heldS) {
      for (const buffer of this.held) this.queue(buffer);
      this.held = [];
    }
    this.tell();
  }

  private queue(buffer: AudioBuffer): void {
    const { context, analyser } = this.open();
    const node = new AudioBufferSourceNode(context, { buffer });
    node.connect(analyser);
    node.onended = () => this.playing.delete(node);
    if (this.nextAt < context.currentTime + LEAD_S) {
      this.nextAt = context.currentTime + LEAD_S;
      this.startedAt = this.nextAt - this.queuedS;
    }
    node.start(this.nextAt);
    this.nextAt += buffer.duration;
    this.queuedS += buffer.duration;
    this.playing.add(node);
  }

  private tell(): void {
    if (this.isBehind === this.wasBehind) return;
    this.wasBehind = this.isBehind;
    for (const listener of this.listeners) listener();
  }

  private open(): { context: AudioContext; analyser: AnalyserNode } {
    this.context ??= new AudioContext({ sampleRate: RATE_HZ });
    if (this.analyser === null) {
      this.analyser = this.context.createAnalyser();
      this.analyser.fftSize = 512;
      this.analyser.connect(this.context.destination);
    }
    return { context: this.context, analyser: this.analyser };
  }
}
