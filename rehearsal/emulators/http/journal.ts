import { redacted } from "./redaction";

/** One call that a client made, in the order of arrival. The `/_emulator` routes are not among them. */
export interface JournalEntry {
  /** Counts from 1; `clear()` starts again. */
  number: number;
  /** ISO time of arrival. */
  at: string;
  method: string;
  /** Without the query. */
  path: string;
  query: Readonly<Record<string, string | string[]>>;
  /**
   * What the handler answered, also where a `drop-after` or `cut` fault kept the answer from the client.
   * Null while the call is under way, and where no handler ran (`drop-before`).
   */
  status: number | null;
  /** The parsed body, secrets redacted; absent where there was none. */
  requestBody?: unknown;
  /** Null while the call is under way. */
  durationMilliseconds: number | null;
  /** The fault that hit this call. */
  fault?: { id: number; effect: string };
}

export interface JournalOptions {
  /** Names of body fields whose values never reach the journal, beside those that are secret by their name anyway. */
  secretFields?: readonly string[];
}

/** The record of all calls, for "no call in a preview", "nothing changed" and crash tests. */
export class Journal {
  readonly #secretFields: readonly string[];
  #entries: JournalEntry[] = [];

  constructor({ secretFields = [] }: JournalOptions = {}) {
    this.#secretFields = secretFields;
  }

  /** All calls since the start or the last `clear()`; a copy. */
  entries(): JournalEntry[] {
    return structuredClone(this.#entries);
  }

  clear(): void {
    this.#entries = [];
  }

  /** Notes an arriving call; the server calls this, and completes the entry it gets. */
  begin(call: Pick<JournalEntry, "method" | "path" | "query">): JournalEntry {
    const entry: JournalEntry = {
      number: this.#entries.length + 1,
      at: new Date().toISOString(),
      ...call,
      status: null,
      durationMilliseconds: null,
    };
    this.#entries.push(entry);
    return entry;
  }

  noteBody(entry: JournalEntry, body: unknown): void {
    if (body !== undefined && body !== null) entry.requestBody = redacted(body, this.#secretFields);
  }
}
