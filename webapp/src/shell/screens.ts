/** The screens, by the part of the address after `#`. */

import { useSyncExternalStore } from "react";

export const SCREENS = ["talk", "call", "picture", "models", "settings"] as const;
export type Screen = (typeof SCREENS)[number];

export function screenOf(hash: string): Screen {
  const name = hash.replace(/^#\/?/, "");
  return (SCREENS as readonly string[]).includes(name) ? (name as Screen) : "talk";
}

export function go(screen: Screen): void {
  location.hash = screen === "talk" ? "" : screen;
}

export function useScreen(): Screen {
  return useSyncExternalStore(watch, () => screenOf(location.hash));
}

function watch(onChange: () => void): () => void {
  addEventListener("hashchange", onChange);
  return () => removeEventListener("hashchange", onChange);
}
