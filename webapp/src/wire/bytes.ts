/** Bytes as text, the way JSON and pages carry them. */

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Read 16-bit samples. */
export function samplesOf(base64: string): Int16Array {
  const bytes = bytesOf(base64);
  return new Int16Array(bytes.buffer, 0, bytes.length >> 1);
}

/** Write 16-bit samples. */
export function base64Of(frame: Int16Array): string {
  const bytes = new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

export function fileOf(base64: string, type: string): Blob {
  return new Blob([bytesOf(base64)], { type });
}

/** Read a data URL. */
export function blobOf(url: string): Blob {
  const [head = "", data = ""] = url.split(",", 2);
  return fileOf(data, head.slice(5).split(";")[0] ?? "");
}

/** Write a data URL. */
export function dataUrl(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
