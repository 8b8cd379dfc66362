/** The frame around the screens. */

import { useEffect } from "react";
import { IconButton } from "./parts/Button";
import { PlusIcon, ThemeIcon } from "./parts/icons";
import { Talk } from "./talk/Talk";
import { useThread } from "./thread/store";
import { toggleTheme } from "./theme";
import { useWords } from "./words";

export function App() {
  const words = useWords();
  const { model, connect, reset } = useThread();
  useEffect(() => void connect(), [connect]);
  return (
    <div className="flex h-dvh flex-col">
      <header className="flex items-center gap-1 px-3 py-2">
        <img src="./myna.svg" alt="Myna" className="size-8" />
        <span className="grow px-2 text-muted">{model?.id}</span>
        <IconButton name={words("theme")} onClick={toggleTheme}>
          <ThemeIcon />
        </IconButton>
        <IconButton name={words("newChat")} onClick={reset}>
          <PlusIcon />
        </IconButton>
      </header>
      <div className="flex min-h-0 grow">
        <Talk />
      </div>
    </div>
  );
}
