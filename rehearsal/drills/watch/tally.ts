/** What one client counted. A request is `retried` when its first attempt failed and a later one mended it, `failed` when none did. */
export interface Tally {
  requests: number;
  retried: number;
  failed: number;
  /** From the first attempt to the answer, of the request that took longest. */
  longestSeconds: number;
  /** Why attempts failed, by how often; the first few kinds. */
  reasons: Record<string, number>;
}

/** Within this a retry has to mend a request. */
export const RETRY_WITHIN_MILLISECONDS = 2_000;
/** A careful client gives one server no longer than this before it asks the next. */
const ATTEMPT_MILLISECONDS = 1_000;
const PAUSE_MILLISECONDS = 50;
const KINDS_OF_REASONS = 12;

export const newTally = (): Tally => ({ requests: 0, retried: 0, failed: 0, longestSeconds: 0, reasons: {} });

/** Does one request, with retries as a careful client makes them, and counts it. Undefined where it failed. */
export async function tallied<T>(
  tally: Tally,
  signal: AbortSignal,
  attempt: (deadline: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const started = performance.now();
  const elapsed = (): number => performance.now() - started;
  for (let attempts = 1; ; attempts++) {
    const left = Math.max(1, Math.ceil(RETRY_WITHIN_MILLISECONDS - elapsed()));
    try {
      const deadline = AbortSignal.timeout(Math.min(left, ATTEMPT_MILLISECONDS));
      const answer = await attempt(AbortSignal.any([signal, deadline]));
      tally.requests++;
      if (attempts > 1) tally.retried++;
      tally.longestSeconds = Math.max(tally.longestSeconds, elapsed() / 1000);
      return answer;
    } catch (error) {
      // The watch is over; what was under way is not counted.
      if (signal.aborted) return undefined;
      note(tally, error);
      if (elapsed() + PAUSE_MILLISECONDS >= RETRY_WITHIN_MILLISECONDS) {
        tally.requests++;
        tally.failed++;
        tally.longestSeconds = Math.max(tally.longestSeconds, elapsed() / 1000);
        return undefined;
      }
      await new Promise((done) => setTimeout(done, PAUSE_MILLISECONDS));
    }
  }
}

function note({ reasons }: Tally, error: unknown): void {
  const { code, cause, message, name } = error as Error & { code?: string | number; cause?: { code?: string } };
  // A time-out has a code too, but a number that says nothing.
  const known = typeof code === "string" ? code : cause?.code;
  const reason = name === "TimeoutError" ? "no answer in time" : (known ?? message.slice(0, 120));
  if (reason in reasons || Object.keys(reasons).length < KINDS_OF_REASONS) reasons[reason] = (reasons[reason] ?? 0) + 1;
}
