/** Says that speech comes slower than it is heard, while it is waited for. */

import { useSyncExternalStore } from "react";
import { useWords } from "../words";
import type { Player } from "./player";

export function Behind({ player }: { player: Player }) {
  const words = useWords();
  const isBehind = useSyncExternalStore(player.subscribe, () => player.isBehind);
  return (
    <p role="note" className="text-center text-sm text-muted empty:hidden">
      {isBehind && words("slowSpeech")}
    </p>
  );
}
