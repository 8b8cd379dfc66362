/** The microphone as frames of 20 ms: mono, 16 bits. */

export interface Microphone {
  /** Loudness of the latest frame, from 0 to 1. */
  level: () => number;
  mute: (isMuted: boolean) => void;
  close: () => void;
}

/** Open the microphone. The browser asks the user; a refusal is thrown. */
export async function openMicrophone(
  rateHz: number,
  onFrame: (frame: Int16Array) => void,
): Promise<Microphone> {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  });
  const context = new AudioContext({ sampleRate: rateHz });
  await context.audioWorklet.addModule("./capture.js");
  const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
  context.createMediaStreamSource(stream).connect(capture);
  let level = 0;
  let muted = false;
  capture.port.onmessage = ({ data }: MessageEvent<Int16Array>) => {
    if (muted) data.fill(0);
    level = loudness(data);
    onFrame(data);
  };
  return {
    level: () => level,
    mute: (isMuted) => {
      muted = isMuted;
    },
    close: () => {
      for (const track of stream.getTracks()) track.stop();
      void context.close();
    },
  };
}

/** The root mean square of samples, from 0 to 1. */
export function loudness(frame: Int16Array): number {
  let sum = 0;
  for (const sample of frame) sum += sample * sample;
  return frame.length === 0 ? 0 : Math.sqrt(sum / frame.length) / 32_768;
}
