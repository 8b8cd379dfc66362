/** Texts with blanks such as `{name}`. */

export type Fill = Record<string, string | number>;

export function filled(text: string, fill: Fill): string {
  return text.replace(/\{(\w+)\}/g, (blank, name: string) => String(fill[name] ?? blank));
}
