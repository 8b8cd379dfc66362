/** The few icons, drawn by us: 24 units, one stroke. */

import type { ReactNode } from "react";

function icon(path: ReactNode): () => ReactNode {
  return () => (
    <svg
      viewBox="0 0 24 24"
      className="size-5"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {path}
    </svg>
  );
}

export const SendIcon = icon(<path d="M12 19V5m-6 6 6-6 6 6" />);
export const StopIcon = icon(<rect x="7" y="7" width="10" height="10" rx="1.5" />);
export const AttachIcon = icon(<path d="m8 12 6-6a3.5 3.500 0 0 1 5 5l-8.500 8.500a5.500 5.500 0 0 1-8-8L10 4" />);
export const SpeakerIcon = icon(<path d="M4 10v4h4l5 4V6l-5 4H4zm12-1a4 4 0 0 1 0 6m2.500-8.500a8 8 0 0 1 0 11" />);
export const QuietIcon = icon(<path d="M4 10v4h4l5 4V6l-5 4H4zm12 0 5 5m0-5-5 5" />);
export const CopyIcon = icon(<path d="M9 9h10v11H9zM15 9V4H5v11h4" />);
export const EditIcon = icon(<path d="m5 15 10-10 4 4L9 19H5z" />);
export const AgainIcon = icon(<path d="M19 12a7 7 0 1 1-2-5l2 2m0-5v5h-5" />);
export const LeftIcon = icon(<path d="m14 6-6 6 6 6" />);
export const RightIcon = icon(<path d="m10 6 6 6-6 6" />);
export const PlusIcon = icon(<path d="M12 5v14M5 12h14" />);
export const CloseIcon = icon(<path d="m6 6 12 12M18 6 6 18" />);
export const ThemeIcon = icon(<path d="M12 3a9 9 0 1 0 0 18zm0 0a9 9 0 0 1 0 18" />);
