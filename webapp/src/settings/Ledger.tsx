/** What left this machine: each host that was asked, when, and for what. */

import { useEffect, useState } from "react";
import { openLedger, type Departure } from "../wire/api";
import { useLanguage, useWords } from "../words";
import { visits } from "./visits";

export function Ledger() {
  const words = useWords();
  const language = useLanguage((choice) => choice.language);
  const [kept, setKept] = useState<{ folder: string; data: Departure[] } | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    openLedger().then(setKept, (error: Error) => setProblem(error.message));
  }, []);
  const date = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  return (
    <section aria-labelledby="ledger" className="space-y-2 border-t border-line pt-6">
      <h2 id="ledger" className="font-medium">
        {words("privacy")}
      </h2>
      <p className="text-muted">{words("privacyPage", { host: location.host })}</p>
      {kept && <p className="break-words text-muted">{words("dataFolder", { folder: kept.folder })}</p>}
      {problem && <p role="alert">{problem}</p>}
      {kept?.data.length === 0 && <p className="text-fits">{words("privacyNone")}</p>}
      <ul className="divide-y divide-line">
        {visits(kept?.data ?? []).map((visit) => (
          <li key={`${visit.at} ${visit.host}`} className="py-2">
            <details>
              <summary className="cursor-pointer">
                <span className="font-medium">{visit.host}</span>{" "}
                <span className="text-muted">
                  {words(visit.purpose === "model" ? "forModel" : "forMedia", { count: visit.count })}
                  {visit.hasKey && ` ${words("withKey")}`} · {date.format(visit.at * 1000)}
                </span>
              </summary>
              <ul className="max-h-60 overflow-y-auto ps-4 pt-1 font-mono text-xs break-all text-muted" tabIndex={0}>
                {visit.paths.map((path, index) => (
                  <li key={index}>{path || words("pathNotKept")}</li>
                ))}
              </ul>
            </details>
          </li>
        ))}
      </ul>
    </section>
  );
}
