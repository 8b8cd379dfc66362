/** Room for a picture, as large as there is space, in its own proportions. */

import type { ReactNode } from "react";

export function Frame({ width, height, children }: { width: number; height: number; children: ReactNode }) {
  const ratio = width / height;
  return (
    <div className="min-h-0 grow px-3 pb-3">
      <div className="grid size-full place-items-center [container-type:size]">
        <div
          className="relative"
          style={{ aspectRatio: ratio, width: `min(100cqw, calc(100cqh * ${ratio}))` }}
        >
          {children}
        </div>
      </div>
    </div>
  );
}
