/** The frame around the screens. */

import { Suspense, lazy, useEffect, useState } from "react";
import { IconButton } from "./parts/Button";
import { CallIcon, ModelsIcon, PictureIcon, PlusIcon, SettingsIcon, SidebarIcon, TalkIcon, ThemeIcon } from "./parts/icons";
import { SCREENS, go, useScreen, type Screen } from "./shell/screens";
import { Talk } from "./talk/Talk";
import { toggleTheme } from "./theme";
import { useThread } from "./thread/store";
import { useWords } from "./words";

const CallScreen = lazy(() => import("./call/Call").then((m) => ({ default: m.CallScreen })));
const ModelsScreen = lazy(() => import("./models/Models").then((m) => ({ default: m.ModelsScreen })));
const PictureScreen = lazy(() =>
  import("./picture/Picture").then((m) => ({ default: m.PictureScreen })),
);
const SettingsScreen = lazy(() =>
  import("./settings/Settings").then((m) => ({ default: m.SettingsScreen })),
);
const Sidebar = lazy(() => import("./history/Sidebar").then((m) => ({ default: m.Sidebar })));
const Palette = lazy(() => import("./shell/Palette"));

const VIEWS: Record<Screen, () => React.ReactNode> = {
  talk: Talk,
  call: () => <CallScreen />,
  picture: () => <PictureScreen />,
  models: () => <ModelsScreen />,
  settings: () => <SettingsScreen />,
};
const ICONS = {
  talk: TalkIcon,
  call: CallIcon,
  picture: PictureIcon,
  models: ModelsIcon,
  settings: SettingsIcon,
};

export function App() {
  const words = useWords();
  const screen = useScreen();
  const { model, connect, reset } = useThread();
  const [hasPalette, setPalette] = useState(false);
  const [hasSidebar, setSidebar] = useState(false);
  useEffect(() => void connect(), [connect]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey)) return;
      if (event.key === "k") setPalette((isOpen) => !isOpen);
      else if (event.key === "b") setSidebar((isOpen) => !isOpen);
      else if (event.shiftKey && event.key.toLowerCase() === "o") reset();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [reset]);

  const View = VIEWS[screen];
  return (
    <div className="flex h-dvh flex-col">
      <header className="flex items-center gap-1 px-3 py-2">
        <IconButton
          name={words("sidebar")}
          aria-expanded={hasSidebar}
          onClick={() => setSidebar(!hasSidebar)}
        >
          <SidebarIcon />
        </IconButton>
        <img src="./myna.svg" alt="Myna" className="size-8" />
        <span className="min-w-0 grow truncate px-2 text-muted max-sm:invisible">{model?.id}</span>
        <nav aria-label={words("palette")} className="flex gap-1">
          {SCREENS.map((name) => {
            const Icon = ICONS[name];
            return (
              <IconButton
                key={name}
                name={words(name)}
                aria-current={screen === name ? "page" : undefined}
                className="aria-[current]:bg-line/60 aria-[current]:text-ink"
                onClick={() => go(name)}
              >
                <Icon />
              </IconButton>
            );
          })}
        </nav>
        <IconButton name={words("theme")} className="max-sm:hidden" onClick={toggleTheme}>
          <ThemeIcon />
        </IconButton>
        <IconButton name={words("newChat")} onClick={() => reset()}>
          <PlusIcon />
        </IconButton>
      </header>
      <div className="flex min-h-0 grow">
        <Suspense>{hasSidebar && <Sidebar />}</Suspense>
        <Suspense fallback={<main aria-busy className="grow" />}>
          <View />
        </Suspense>
      </div>
      {hasPalette && (
        <Suspense>
          <Palette onClose={() => setPalette(false)} />
        </Suspense>
      )}
    </div>
  );
}
