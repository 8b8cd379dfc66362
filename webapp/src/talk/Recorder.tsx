/** A button that records the microphone until it is pressed again. */

import { useEffect, useRef, useState } from "react";
import { IconButton } from "../parts/Button";
import { MicrophoneIcon, StopIcon } from "../parts/icons";
import { openMicrophone, type Microphone } from "../sound/microphone";
import { wavOf } from "../sound/wav";
import { useWords } from "../words";

const RATE_HZ = 16_000;

interface Props {
  onSound: (sound: File) => void;
  onProblem: (problem: string) => void;
}

export function Recorder({ onSound, onProblem }: Props) {
  const words = useWords();
  const microphone = useRef<Microphone | null>(null);
  const frames = useRef<Int16Array[]>([]);
  const [isRecording, setRecording] = useState(false);
  useEffect(() => () => microphone.current?.close(), []);

  const toggle = async () => {
    if (microphone.current) {
      microphone.current.close();
      microphone.current = null;
      setRecording(false);
      const sound = wavOf(frames.current, RATE_HZ);
      onSound(new File([sound], "recording.wav", { type: sound.type }));
      return;
    }
    frames.current = [];
    try {
      microphone.current = await openMicrophone(RATE_HZ, (frame) => frames.current.push(frame));
      setRecording(true);
    } catch (error) {
      onProblem((error as Error).message);
    }
  };
  return (
    <IconButton
      name={words(isRecording ? "recording" : "record")}
      aria-pressed={isRecording}
      className="aria-pressed:text-error"
      onClick={() => void toggle()}
    >
      {isRecording ? <StopIcon /> : <MicrophoneIcon />}
    </IconButton>
  );
}
