/** Light, dark, or as the system has it. */

const STORED = "myna.theme";

export function restoreTheme(): void {
  const kept = localStorage.getItem(STORED);
  if (kept) document.documentElement.dataset.theme = kept;
}

export function toggleTheme(): void {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem(STORED, root.dataset.theme);
}
