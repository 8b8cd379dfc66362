/** The interface's words in the user's language. */

import { create } from "zustand";
import { en, type Words } from "./en";
import { filled, type Fill } from "./fill";
import { fr } from "./fr";
import { zh } from "./zh";

export const LANGUAGES = { en, fr, zh } satisfies Record<string, Words>;
export type Language = keyof typeof LANGUAGES;

const STORED = "myna.language";

function usual(): Language {
  const wished = [localStorage.getItem(STORED), ...navigator.languages];
  for (const tag of wished) {
    const code = tag?.slice(0, 2) ?? "";
    if (code in LANGUAGES) return code as Language;
  }
  return "en";
}

interface Choice {
  language: Language;
  speak: (language: Language) => void;
}

export const useLanguage = create<Choice>((set) => ({
  language: usual(),
  speak: (language) => {
    localStorage.setItem(STORED, language);
    document.documentElement.lang = language;
    set({ language });
  },
}));

/** Give a function that looks a text up and fills its blanks. */
export function useWords(): (name: keyof Words, fill?: Fill) => string {
  const words = LANGUAGES[useLanguage((choice) => choice.language)];
  return (name, fill = {}) => filled(words[name], fill);
}
