/** Light, dark, or as the system has it. */

const STORED = "myna.theme";

export function restoreTheme(): void {
  const kept = localStorage.getItem(STORED);
  if (kept) document.documentElement.dataset.theme = kept;
}

export type Theme = "light" | "dark" | "system";

export function theme(): Theme {
  return (document.documentElement.dataset.theme as Theme | undefined) ?? "system";
}

export function setTheme(wished: Theme): void {
  if (wished === "system") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem(STORED);
  } else {
    document.documentElement.dataset.theme = wished;
    localStorage.setItem(STORED, wished);
  }
}

export function toggleTheme(): void {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(isDark ? "light" : "dark");
}
