/** The call: two waves, captions of both sides, and as few buttons as can be. */

import { useEffect, useRef, useState } from "react";
import { IconButton } from "../parts/Button";
import { CameraIcon, EndIcon, MicrophoneIcon, MutedIcon } from "../parts/icons";
import { Behind } from "../sound/Behind";
import { useThread } from "../thread/store";
import { useWords } from "../words";
import { openCamera } from "./camera";
import { levels, lookThrough, player, useCall } from "./session";

export function CallScreen() {
  const words = useWords();
  const { state, lines, isMuted, problem, start, end, mute } = useCall();
  const model = useThread((thread) => thread.model);
  const [isWatching, setWatching] = useState(false);
  const view = useRef<HTMLVideoElement>(null);
  const captions = useRef<HTMLOListElement>(null);
  const leave = () => {
    end();
    location.hash = "";
  };

  useEffect(() => {
    if (model !== null) void start();
    return end;
  }, [model, start, end]);

  useEffect(() => {
    captions.current?.scrollTo({ top: captions.current.scrollHeight });
  }, [lines]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape") leave();
      // Space is held to talk; a button that has the focus keeps its own meaning of it.
      if (event.key === " " && !(event.target instanceof HTMLButtonElement) && !event.repeat) {
        mute(event.type === "keyup");
      }
    };
    addEventListener("keydown", onKey);
    addEventListener("keyup", onKey);
    return () => {
      removeEventListener("keydown", onKey);
      removeEventListener("keyup", onKey);
    };
  });

  const watch = async () => {
    if (isWatching) {
      lookThrough(null);
      setWatching(false);
    } else if (view.current) {
      lookThrough(await openCamera(view.current));
      setWatching(true);
    }
  };

  return (
    <main className="flex h-full min-w-0 grow flex-col items-center gap-3 overflow-y-auto px-4 pb-4">
      <h1 className="sr-only">{words("call")}</h1>
      <Waves />
      <video ref={view} muted playsInline hidden={!isWatching} className="max-h-[24dvh] rounded-2xl" />
      <ol
        ref={captions}
        aria-live="polite"
        className="min-h-24 w-full max-w-[44rem] shrink grow basis-0 space-y-3 overflow-y-auto"
      >
        {lines.filter(({ text, isCut }) => text || !isCut).map((line) => (
          <li key={line.itemId} className={line.role === "user" ? "text-end text-muted" : ""}>
            <span className="sr-only">{line.role === "user" ? words("you") : model?.id}: </span>
            {line.picture && <img src={line.picture} alt="" className="mb-1 ms-auto h-20 rounded-lg" />}
            {line.text || "…"}
            {line.isCut && <span className="text-muted"> — {words("interrupted")}</span>}
          </li>
        ))}
      </ol>
      {problem && (
        <p role="alert" className="text-error">
          {problem}
        </p>
      )}
      <Behind player={player} />
      <p role="status" className="text-sm text-muted">
        {words(state === "on" ? (isMuted ? "muted" : "listening") : "dialling")}
      </p>
      <div className="flex gap-4">
        <IconButton
          name={words(isMuted ? "unmute" : "mute")}
          aria-pressed={isMuted}
          className="size-14 ring-1 ring-line"
          onClick={() => mute(!isMuted)}
        >
          {isMuted ? <MutedIcon /> : <MicrophoneIcon />}
        </IconButton>
        <IconButton
          name={words(isWatching ? "cameraOff" : "cameraOn")}
          aria-pressed={isWatching}
          className="size-14 ring-1 ring-line"
          onClick={() => void watch()}
        >
          <CameraIcon />
        </IconButton>
        <IconButton name={words("endCall")} className="size-14 bg-error text-paper" onClick={leave}>
          <EndIcon />
        </IconButton>
      </div>
    </main>
  );
}

const WAVE_PX = 640;

/** Two waves: the user's above, the model's below. */
function Waves() {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const history = Array.from({ length: WAVE_PX / 4 }, () => [0, 0] as readonly [number, number]);
    let next = 0;
    const draw = () => {
      next = requestAnimationFrame(draw);
      const context = canvas.current?.getContext("2d");
      if (!canvas.current || !context) return;
      const { width, height } = canvas.current;
      const style = getComputedStyle(canvas.current);
      history.push(levels());
      history.shift();
      context.clearRect(0, 0, width, height);
      history.forEach((pair, x) => {
        pair.forEach((level, side) => {
          const tall = Math.max(1, Math.min(1, level * 4) * height * 0.45);
          context.fillStyle = side === 0 ? style.color : style.getPropertyValue("--accent");
          context.fillRect(x * 4, side === 0 ? height / 2 - tall : height / 2, 3, tall);
        });
      });
    };
    draw();
    return () => cancelAnimationFrame(next);
  }, []);
  return <canvas ref={canvas} width={WAVE_PX} height={160} className="max-h-[18dvh] w-full max-w-[40rem] shrink-0 text-muted" aria-hidden="true" />;
}
