/** What may be changed of a picture, as strokes: they can be undone, and fit any size. */

export interface Stroke {
  kind: "brush" | "eraser" | "clear";
  /** As parts of the picture's width. */
  width: number;
  points: [x: number, y: number][];
}

export interface Mask {
  strokes: Stroke[];
  /** What was undone, the latest last. */
  undone: Stroke[];
}

export const NO_MASK: Mask = { strokes: [], undone: [] };
const CLEAR: Stroke = { kind: "clear", width: 0, points: [] };

export function draw(mask: Mask, stroke: Stroke): Mask {
  return { strokes: [...mask.strokes, stroke], undone: [] };
}

export function clear(mask: Mask): Mask {
  return isEmpty(mask) ? mask : draw(mask, CLEAR);
}

export function undo({ strokes, undone }: Mask): Mask {
  const last = strokes.at(-1);
  return last ? { strokes: strokes.slice(0, -1), undone: [...undone, last] } : { strokes, undone };
}

export function redo({ strokes, undone }: Mask): Mask {
  const last = undone.at(-1);
  return last ? { strokes: [...strokes, last], undone: undone.slice(0, -1) } : { strokes, undone };
}

/** Tell whether nothing was ever painted since the last time that all was cleared. */
export function isEmpty({ strokes }: Mask): boolean {
  const since = strokes.slice(strokes.findLastIndex(({ kind }) => kind === "clear") + 1);
  return !since.some(({ kind }) => kind === "brush");
}

/** Paint all strokes, opaque, on a canvas that may hold others. */
export function paint(canvas: HTMLCanvasElement, { strokes }: Mask, colour: string): void {
  canvas.getContext("2d")?.clearRect(0, 0, canvas.width, canvas.height);
  for (const stroke of strokes) paintStroke(canvas, stroke, colour);
}

/** Paint one stroke, from one of its points on. */
export function paintStroke(canvas: HTMLCanvasElement, stroke: Stroke, colour: string, from = 0): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  if (stroke.kind === "clear") {
    context.clearRect(0, 0, canvas.width, canvas.height);
    return;
  }
  const scale = canvas.width;
  context.globalCompositeOperation = stroke.kind === "brush" ? "source-over" : "destination-out";
  context.strokeStyle = colour;
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = stroke.width * scale;
  context.beginPath();
  const points = stroke.points.slice(from);
  const [first] = points;
  if (first) context.moveTo(first[0] * scale, first[1] * scale);
  for (const [x, y] of points) context.lineTo(x * scale, y * scale);
  context.stroke();
  context.globalCompositeOperation = "source-over";
}

/** Write the mask as a picture that is transparent where something may be changed. */
export async function fileOf(mask: Mask, width: number, height: number): Promise<Blob> {
  const painted = blank(width, height);
  paint(painted, mask, "#000");
  return written(width, height, (context) => {
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "destination-out";
    context.drawImage(painted, 0, 0);
  });
}

/** Write a mask that lets all be changed. */
export function openMask(width: number, height: number): Promise<Blob> {
  return written(width, height, () => undefined);
}

async function written(
  width: number,
  height: number,
  fill: (context: CanvasRenderingContext2D) => void,
): Promise<Blob> {
  const canvas = blank(width, height);
  const context = canvas.getContext("2d");
  if (context) fill(context);
  const file = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (context === null || file === null) {
    throw new Error(`This browser has no room for a mask of ${width} × ${height}.`);
  }
  return file;
}

function blank(width: number, height: number): HTMLCanvasElement {
  return Object.assign(document.createElement("canvas"), { width, height });
}
