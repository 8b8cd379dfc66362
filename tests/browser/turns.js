// In the page, for tests of calls: a microphone that says what it is told, and ears at the speaker.
(() => {
  const QUIET = 0.001;
  const LOOK_MS = 4;
  const WINDOW = 256; // samples that are looked at
  const MID_WORD_MS = 60; // as long as speech may be quiet without being over
  const SILENT_MS = 250;
  let mouth = null; // the context and the node that speak into the microphone
  const taps = [];
  let lastLoudAt = -Infinity;
  let detectedAt = null;

  navigator.mediaDevices.getUserMedia = async () => {
    const context = new AudioContext();
    mouth = { context, out: context.createMediaStreamDestination() };
    return mouth.out.stream;
  };

  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target === this.context.destination) {
      const analyser = new AnalyserNode(this.context, { fftSize: WINDOW });
      connect.call(this, analyser);
      taps.push(analyser);
    }
    return connect.call(this, target, ...rest);
  };
  const wave = new Float32Array(WINDOW);
  setInterval(() => {
    for (const tap of taps) {
      tap.getFloatTimeDomainData(wave);
      const latencyMs = 1000 * (tap.context.outputLatency || tap.context.baseLatency || 0);
      if (wave.some((sample) => Math.abs(sample) > QUIET)) lastLoudAt = performance.now() + latencyMs;
    }
  }, LOOK_MS);

  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...rest) {
      super(...rest);
      this.addEventListener("message", ({ data }) => {
        if (JSON.parse(data).type === "input_audio_buffer.speech_started") detectedAt = performance.now();
      });
    }
  };

  const until = async (condition) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    return performance.now();
  };
  const say = async (data) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const buffer = await mouth.context.decodeAudioData(bytes.buffer);
    const node = new AudioBufferSourceNode(mouth.context, { buffer });
    connect.call(node, mouth.out);
    node.start();
    return { startedAt: performance.now(), said: new Promise((resolve) => (node.onended = resolve)) };
  };
  const sinceLoudMs = () => performance.now() - lastLoudAt;

  window.turns = {
    /** Speak into the microphone; ends when all is said. */
    say: async (data) => (await say(data)).said,
    hasSounded: () => lastLoudAt > 0,
    untilSound: () => until(() => sinceLoudMs() < 20),
    /** Ask; as soon as the answer sounds, ask again; tell how long the answer went on. */
    bargeIn: async (data) => {
      await (await say(data)).said;
      await window.turns.untilSound();
      detectedAt = null;
      const { startedAt } = await say(data);
      await until(() => detectedAt !== null);
      const wasLoud = lastLoudAt > detectedAt - MID_WORD_MS;
      await until(() => sinceLoudMs() > SILENT_MS);
      return {
        wasLoud,
        detectMs: detectedAt - startedAt,
        cutMs: Math.max(0, lastLoudAt - detectedAt),
        fromSpeechMs: lastLoudAt - startedAt,
      };
    },
  };
})();
