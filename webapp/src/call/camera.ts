/** The camera as single pictures. */

import type { Camera } from "./session";

const SIDE_PX = 640;

/** Open the camera, shown in `view`. The browser asks the user; a refusal is thrown. */
export async function openCamera(view: HTMLVideoElement): Promise<Camera> {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: SIDE_PX } });
  view.srcObject = stream;
  await view.play();
  const canvas = document.createElement("canvas");
  return {
    picture: () => {
      if (view.videoWidth === 0) return null;
      const scale = Math.min(1, SIDE_PX / Math.max(view.videoWidth, view.videoHeight));
      canvas.width = Math.round(view.videoWidth * scale);
      canvas.height = Math.round(view.videoHeight * scale);
      canvas.getContext("2d")?.drawImage(view, 0, 0, canvas.width, canvas.height);
      return canvas.toDataURL("image/jpeg", 0.85);
    },
    close: () => {
      for (const track of stream.getTracks()) track.stop();
      view.srcObject = null;
    },
  };
}
