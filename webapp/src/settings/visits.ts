/** Requests that left, gathered into visits: a model is many files of one host. */

import type { Departure } from "../wire/api";

export interface Visit {
  host: string;
  purpose: Departure["purpose"];
  /** When the latest of its requests left. */
  at: number;
  count: number;
  hasKey: boolean;
  paths: string[];
}

/** Gather what follows one another to the same host for the same purpose; the newest come first. */
export function visits(departures: Departure[]): Visit[] {
  const found: Visit[] = [];
  for (const { host, purpose, at, path, has_key } of departures) {
    const last = found.at(-1);
    if (last && last.host === host && last.purpose === purpose) {
      last.count += 1;
      last.hasKey ||= has_key;
      if (last.paths.at(-1) !== path) last.paths.push(path);
    } else found.push({ host, purpose, at, count: 1, hasKey: has_key, paths: [path] });
  }
  return found;
}
