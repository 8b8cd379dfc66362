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
export const ContinueIcon = icon(<path d="M5 6v12l8-6zM18 6v12" />);
export const LeftIcon = icon(<path d="m14 6-6 6 6 6" />);
export const RightIcon = icon(<path d="m10 6 6 6-6 6" />);
export const PlusIcon = icon(<path d="M12 5v14M5 12h14" />);
export const CloseIcon = icon(<path d="m6 6 12 12M18 6 6 18" />);
export const ThemeIcon = icon(<path d="M12 3a9 9 0 1 0 0 18zm0 0a9 9 0 0 1 0 18" />);
export const MoreIcon = icon(<path d="M6 12h.01M12 12h.01M18 12h.01" strokeWidth="3" />);
export const CallIcon = icon(<path d="M6 4h3l2 5-2.500 1.500a11 11 0 0 0 5 5L15 13l5 2v3a2 2 0 0 1-2 2A15 15 0 0 1 4 6a2 2 0 0 1 2-2z" />);
export const EndIcon = icon(<path d="M3 14c0-6 18-6 18 0v2l-5-1v-3a14 14 0 0 0-8 0v3l-5 1z" />);
export const MicrophoneIcon = icon(<path d="M12 4a2.500 2.500 0 0 0-2.500 2.500V12a2.500 2.500 0 0 0 5 0V6.500A2.500 2.500 0 0 0 12 4zM6 11.500a6 6 0 0 0 12 0M12 17.500V21" />);
export const MutedIcon = icon(<path d="M9.500 9.500V12a2.500 2.500 0 0 0 4 2M14.500 11V6.500a2.500 2.500 0 0 0-5-.5M6 11.500a6 6 0 0 0 9.500 5M18 11.500c0 .8-.2 1.600-.5 2.300M12 17.500V21M4 4l16 16" />);
export const CameraIcon = icon(<path d="M4 8h3l2-3h6l2 3h3v11H4zM12 10.500a3 3 0 1 0 0 6 3 3 0 0 0 0-6z" />);
export const TalkIcon = icon(<path d="M4 5h16v11H9l-5 4z" />);
export const ModelsIcon = icon(<path d="m12 3 8 4.500v9L12 21l-8-4.500v-9zM4 7.500l8 4.500 8-4.500M12 12v9" />);
export const SettingsIcon = icon(<path d="M5 7h8m4 0h2M5 12h2m4 0h8M5 17h6m4 0h4M15 5v4M9 10v4M13 15v4" />);
export const SidebarIcon = icon(<path d="M4 5h16v14H4zM10 5v14" />);
export const PictureIcon = icon(<path d="M4 5h16v14H4zm0 11 4.500-5 4 4.500 2.500-2.500 5 4.500M15.500 9h.01" />);
export const BrushIcon = icon(<path d="m10 13 8-9 2 2-9 8m-1-1a3 3 0 0 0-4 1c-1 1.500-.5 3-2 4 3 1 6.500.5 7.500-2a3 3 0 0 0-.5-2z" />);
export const EraserIcon = icon(<path d="m4 15 9-9 6 6-8 8H8zm5-5 6 6M11 20h9" />);
export const UndoIcon = icon(<path d="M8 5 4 9l4 4M4 9h10a5 5 0 0 1 0 10H9" />);
export const RedoIcon = icon(<path d="m16 5 4 4-4 4m4-4H10a5 5 0 0 0 0 10h5" />);
export const ClearIcon = icon(<path d="M5 7h14M9 7V4h6v3m-8.500 0 1 13h9l1-13M10 11v5m4-5v5" />);
export const SaveIcon = icon(<path d="M12 4v11m-5-5 5 5 5-5M5 20h14" />);
export const InputIcon = icon(<path d="M4 12h10m-4-4 4 4-4 4M14 5h6v14h-6" />);
