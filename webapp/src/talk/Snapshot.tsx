/** A button that opens the camera, and takes a picture when it is pressed again. */

import { useEffect, useRef, useState } from "react";
import { openCamera } from "../call/camera";
import type { Camera } from "../call/session";
import { IconButton } from "../parts/Button";
import { CameraIcon, CloseIcon } from "../parts/icons";
import { blobOf } from "../wire/bytes";
import { useWords } from "../words";

interface Props {
  onPicture: (picture: File) => void;
  onProblem: (problem: string) => void;
}

export function Snapshot({ onPicture, onProblem }: Props) {
  const words = useWords();
  const view = useRef<HTMLVideoElement>(null);
  const camera = useRef<Camera | null>(null);
  const [isOpen, setOpen] = useState(false);
  const close = () => {
    camera.current?.close();
    camera.current = null;
    setOpen(false);
  };
  useEffect(() => () => camera.current?.close(), []);

  const open = async () => {
    setOpen(true);
    try {
      if (view.current) camera.current = await openCamera(view.current);
    } catch (error) {
      close();
      onProblem((error as Error).message);
    }
  };
  const take = () => {
    const url = camera.current?.picture();
    if (url) onPicture(new File([blobOf(url)], "camera.jpg", { type: "image/jpeg" }));
    close();
  };
  return (
    <>
      <IconButton name={words("snapshot")} aria-pressed={isOpen} onClick={() => void open()}>
        <CameraIcon />
      </IconButton>
      <div
        hidden={!isOpen}
        className="fixed inset-x-0 bottom-32 mx-auto w-fit rounded-2xl bg-raised p-2 shadow-xl ring-1 ring-line"
      >
        <video ref={view} muted playsInline className="max-h-[50vh] rounded-xl" />
        <div className="flex justify-center gap-2 pt-2">
          <IconButton isMain name={words("takePicture")} onClick={take}>
            <CameraIcon />
          </IconButton>
          <IconButton name={words("cancel")} onClick={close}>
            <CloseIcon />
          </IconButton>
        </div>
      </div>
    </>
  );
}
