/** Plays spoken answers as they come; `stop` silences at once and tells how much was heard. */

export const RATE_HZ = 24_000;
const LEAD_S = 0.02; // between the first samples and their sound

export class Player {
  private context: AudioContext | null = null;
  private analyser: AnalyserNode | null = null;
  private playing = new Set<AudioBufferSourceNode>();
  private startedAt = 0;
  private nextAt = 0;
  private queuedS = 0;

  /** Add samples after what is queued already. */
  play(pcm: Int16Array): void {
    if (pcm.length === 0) return;
    const { context, analyser } = this.open();
    const buffer = context.createBuffer(1, pcm.length, RATE_HZ);
    buffer.copyToChannel(Float32Array.from(pcm, (sample) => sample / 32_768), 0);
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

  /** Drop what is queued and what sounds; give the milliseconds that were heard since the last stop. */
  stop(): number {
    const heard = this.heardMs;
    for (const node of this.playing) node.stop();
    this.playing.clear();
    this.nextAt = 0;
    this.queuedS = 0;
    return heard;
  }

  get isPlaying(): boolean {
    return this.playing.size > 0;
  }

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
