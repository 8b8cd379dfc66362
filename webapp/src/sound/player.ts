/** Plays spoken answers as they come; `stop` silences at once. */

export const RATE_HZ = 24_000;

export class Player {
  private context: AudioContext | null = null;
  private playing = new Set<AudioBufferSourceNode>();
  private nextAt = 0;

  /** Add samples after what is queued already. */
  play(pcm: Int16Array): void {
    if (pcm.length === 0) return;
    this.context ??= new AudioContext({ sampleRate: RATE_HZ });
    const { context } = this;
    const buffer = context.createBuffer(1, pcm.length, RATE_HZ);
    buffer.copyToChannel(Float32Array.from(pcm, (sample) => sample / 32_768), 0);
    const node = new AudioBufferSourceNode(context, { buffer });
    node.connect(context.destination);
    node.onended = () => this.playing.delete(node);
    this.nextAt = Math.max(this.nextAt, context.currentTime + 0.02);
    node.start(this.nextAt);
    this.nextAt += buffer.duration;
    this.playing.add(node);
  }

  /** Drop what is queued and what sounds. */
  stop(): void {
    for (const node of this.playing) node.stop();
    this.playing.clear();
    this.nextAt = 0;
  }

  get isPlaying(): boolean {
    return this.playing.size > 0;
  }
}
