/** A button that lets pictures be chosen. */

import { useRef, type ReactNode } from "react";

interface Props {
  onFiles: (files: File[]) => void;
  children: ReactNode;
  name?: string;
  isMany?: boolean;
  className?: string;
}

export function Chooser({ onFiles, children, name, isMany = false, className = "" }: Props) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        hidden
        multiple={isMany}
        accept="image/*"
        onChange={(event) => {
          onFiles([...(event.target.files ?? [])]);
          event.target.value = "";
        }}
      />
      <button
        type="button"
        aria-label={name}
        title={name}
        className={className}
        onClick={() => input.current?.click()}
      >
        {children}
      </button>
    </>
  );
}
