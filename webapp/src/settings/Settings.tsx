/** Settings, and what left this machine. */

import { useState, type ReactNode } from "react";
import { Player } from "../sound/player";
import { setTheme, theme, type Theme } from "../theme";
import { useThread } from "../thread/store";
import { sendKey, speak } from "../wire/api";
import { LANGUAGES, useLanguage, useWords, type Language } from "../words";
import { Ledger } from "./Ledger";

const NAMES: Record<Language, string> = { en: "English", fr: "Français", zh: "中文" };
const player = new Player();

export function SettingsScreen() {
  const words = useWords();
  const { language, speak: speakLanguage } = useLanguage();
  const { model, voice, speakWith, connect } = useThread();
  const [shade, setShade] = useState<Theme>(theme());
  const [problem, setProblem] = useState<string | null>(null);

  const preview = async (name: string) => {
    setProblem(null);
    try {
      player.stop();
      player.play(await speak(model?.id ?? "", name, words("previewText")));
      player.end();
    } catch (error) {
      setProblem((error as Error).message);
    }
  };

  return (
    <main className="mx-auto w-full max-w-[44rem] grow space-y-6 overflow-y-auto px-4 py-6">
      <h1 className="text-2xl font-semibold">{words("settings")}</h1>
      {problem && (
        <p role="alert" className="text-error">
          {problem}
        </p>
      )}
      <Field name={words("language")}>
        <select
          className="rounded-lg border border-line bg-raised px-3 py-1.5"
          value={language}
          onChange={(event) => speakLanguage(event.target.value as Language)}
        >
          {Object.keys(LANGUAGES).map((code) => (
            <option key={code} value={code}>
              {NAMES[code as Language]}
            </option>
          ))}
        </select>
      </Field>
      <Field name={words("appearance")}>
        <select
          className="rounded-lg border border-line bg-raised px-3 py-1.5"
          value={shade}
          onChange={(event) => {
            setTheme(event.target.value as Theme);
            setShade(event.target.value as Theme);
          }}
        >
          {(["system", "light", "dark"] as const).map((name) => (
            <option key={name} value={name}>
              {words(name)}
            </option>
          ))}
        </select>
      </Field>
      <Field name={words("key")} hint={words("keyHint")}>
        <input
          type="password"
          autoComplete="off"
          className="rounded-lg border border-line bg-raised px-3 py-1.5"
          onBlur={(event) => {
            sendKey(event.target.value || null);
            void connect();
          }}
        />
      </Field>
      {(model?.voices ?? []).length > 0 && (
        <fieldset>
          <legend className="pb-2 font-medium">{words("voices")}</legend>
          {model?.voices?.map((name) => (
            <div key={name} className="flex items-center gap-3 py-1">
              <label className="flex grow items-center gap-2">
                <input
                  type="radio"
                  name="voice"
                  className="accent-accent"
                  checked={voice === name}
                  onChange={() => speakWith(name)}
                />
                {name}
              </label>
              <button type="button" className="rounded-full px-3 py-1 ring-1 ring-line" onClick={() => void preview(name)}>
                {words("preview", { voice: name })}
              </button>
            </div>
          ))}
        </fieldset>
      )}
      <Ledger />
    </main>
  );
}

function Field({ name, hint, children }: { name: string; hint?: string; children: ReactNode }) {
  return (
    <label className="flex flex-wrap items-center gap-x-4 gap-y-1">
      <span className="grow font-medium">
        {name}
        {hint && <span className="block text-sm font-normal text-muted">{hint}</span>}
      </span>
      {children}
    </label>
  );
}
