/** The picture that is to be changed, and a brush to say where. */

import { useEffect, useRef, useState, type PointerEvent, type ReactNode } from "react";
import { IconButton } from "../parts/Button";
import { BrushIcon, ClearIcon, EraserIcon, RedoIcon, UndoIcon } from "../parts/icons";
import { useWords } from "../words";
import { Frame } from "./Frame";
import type { Picture } from "./edits";
import { clear, draw, isEmpty, paint, paintStroke, redo, undo, type Stroke } from "./mask";
import { useStudio } from "./studio";

const MAX_SIDE = 2048; // of what is shown; the mask itself is written in the picture's own size
const COLOUR = "#f2a900";
const STEP = 0.01;
const WIDEST = 0.4;

export function Painter({ picture, actions }: { picture: Picture; actions: ReactNode }) {
  const words = useWords();
  const { mask, setMask } = useStudio();
  const [kind, setKind] = useState<"brush" | "eraser">("brush");
  const [width, setWidth] = useState(0.08);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isWriting = event.target instanceof HTMLElement && event.target.matches("input, textarea");
      if (isWriting) return;
      const key = event.key.toLowerCase();
      const { mask: now } = useStudio.getState();
      if ((event.ctrlKey || event.metaKey) && key === "z") setMask(event.shiftKey ? redo(now) : undo(now));
      else if (event.ctrlKey || event.metaKey || event.altKey) return;
      else if (key === "b") setKind("brush");
      else if (key === "e") setKind("eraser");
      else if (key === "[") setWidth((old) => Math.max(STEP, old - STEP));
      else if (key === "]") setWidth((old) => Math.min(WIDEST, old + STEP));
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [setMask]);
  const pressed = "aria-pressed:bg-line/60 aria-pressed:text-ink";
  return (
    <>
      <div role="toolbar" aria-label={words("tools")} className="flex flex-wrap items-center gap-1 px-3 py-2">
        <IconButton
          name={words("brush")}
          aria-pressed={kind === "brush"}
          className={pressed}
          onClick={() => setKind("brush")}
        >
          <BrushIcon />
        </IconButton>
        <IconButton
          name={words("eraser")}
          aria-pressed={kind === "eraser"}
          className={pressed}
          onClick={() => setKind("eraser")}
        >
          <EraserIcon />
        </IconButton>
        <input
          type="range"
          aria-label={words("brushSize")}
          title={words("brushSize")}
          min={STEP}
          max={WIDEST}
          step={STEP}
          value={width}
          aria-valuetext={`${Math.round(width * 100)} %`}
          onChange={(event) => setWidth(Number(event.target.value))}
          className="w-24 accent-accent"
        />
        <IconButton name={words("undo")} disabled={mask.strokes.length === 0} onClick={() => setMask(undo(mask))}>
          <UndoIcon />
        </IconButton>
        <IconButton name={words("redo")} disabled={mask.undone.length === 0} onClick={() => setMask(redo(mask))}>
          <RedoIcon />
        </IconButton>
        <IconButton name={words("clearMask")} disabled={isEmpty(mask)} onClick={() => setMask(clear(mask))}>
          <ClearIcon />
        </IconButton>
        <span className="grow" />
        {actions}
      </div>
      <Canvas picture={picture} kind={kind} width={width} />
      <p className="px-4 pb-3 text-center text-sm text-muted">
        {words(isEmpty(mask) ? "paintHint" : "paintedHint")}
      </p>
    </>
  );
}

function Canvas({ picture, kind, width }: { picture: Picture; kind: "brush" | "eraser"; width: number }) {
  const words = useWords();
  const { mask, setMask } = useStudio();
  const canvas = useRef<HTMLCanvasElement>(null);
  const ring = useRef<HTMLSpanElement>(null);
  const stroke = useRef<Stroke | null>(null);
  const scale = Math.min(1, MAX_SIDE / Math.max(picture.width, picture.height));
  const size = [Math.ceil(picture.width * scale), Math.ceil(picture.height * scale)] as const;
  useEffect(() => {
    if (canvas.current) paint(canvas.current, mask, COLOUR);
  }, [mask, picture]);

  const placeOf = (event: PointerEvent): [number, number] => {
    const box = event.currentTarget.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.width];
  };
  const extend = (event: PointerEvent) => {
    const line = stroke.current;
    if (!line || !canvas.current) return;
    line.points.push(placeOf(event));
    paintStroke(canvas.current, line, COLOUR, Math.max(0, line.points.length - 2));
  };
  const onMove = (event: PointerEvent) => {
    if (ring.current) {
      const [x, y] = placeOf(event);
      const box = event.currentTarget.getBoundingClientRect();
      ring.current.style.translate = `${x * box.width}px ${y * box.width}px`;
    }
    extend(event);
  };
  return (
    <Frame width={picture.width} height={picture.height}>
      <img src={picture.url} alt={picture.title} className="absolute size-full rounded-lg" />
      <div
        className="group absolute size-full cursor-crosshair touch-none overflow-hidden rounded-lg"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          stroke.current = { kind, width, points: [] };
          extend(event);
        }}
        onPointerMove={onMove}
        onPointerUp={() => {
          if (stroke.current) setMask(draw(mask, stroke.current));
          stroke.current = null;
        }}
        onPointerCancel={() => {
          stroke.current = null;
          if (canvas.current) paint(canvas.current, mask, COLOUR);
        }}
      >
        <canvas
          ref={canvas}
          width={size[0]}
          height={size[1]}
          role="img"
          aria-label={words("mask")}
          className="size-full opacity-60"
        />
        <span
          ref={ring}
          className="pointer-events-none invisible absolute top-0 left-0 group-hover:visible"
          style={{ width: `${width * 100}%` }}
        >
          <span className="block aspect-square w-full -translate-1/2 rounded-full border border-white outline outline-black/60" />
        </span>
      </div>
    </Frame>
  );
}
