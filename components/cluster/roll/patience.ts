import type { Clock } from "./clock";

/** Says what goes on: at once on a terminal, and as lines of a log where there is none. */
export type Say = (line: string) => void;

export interface Wait {
  /** For the error: "node b did not become ready". */
  readonly what: string;
  readonly limitSeconds: number;
  readonly periodSeconds: number;
  /** Undefined when it is so; else what is still missing. Errors end the wait. */
  readonly look: () => Promise<string | undefined>;
  /** Put before what is missing: "node b: booting". */
  readonly progress: string;
  readonly say: Say;
  readonly clock: Clock;
}

/** Looks again and again until nothing is missing, and throws with what was missing last when the time is over. */
export async function patience({ what, limitSeconds, periodSeconds, look, progress, say, clock }: Wait): Promise<void> {
  const begun = clock.now();
  for (;;) {
    const missing = await look();
    if (missing === undefined) return;
    const seconds = Math.round(clock.now() - begun);
    if (seconds >= limitSeconds) throw new Error(`${what} within ${limitSeconds} s: ${missing}`);
    say(`${progress}: ${missing}, ${seconds} s`);
    await clock.sleep(periodSeconds);
  }
}
