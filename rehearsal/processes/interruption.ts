/** How a command may end, as its exit code. */
export const EXIT = { well: 0, problems: 1, calledWrongly: 2, interrupted: 130 } as const;

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * From its making to `release`, Ctrl-C and its kin end nothing by themselves, and neither does a mistake of ours: both abort
 * `signal`, so that no cluster is left running behind a command that ends.
 */
export class Interruption {
  readonly #controller = new AbortController();
  readonly #onSignal: () => void;
  readonly #onCrash: (error: unknown) => void;
  #crashed = false;

  /** `onSignal` is called once, at the first signal: to say that the command has heard it. */
  constructor(onSignal: () => void = () => undefined) {
    this.#onSignal = () => {
      if (this.signal.aborted) return;
      onSignal();
      this.#controller.abort();
    };
    this.#onCrash = (error) => {
      this.#crashed = true;
      console.error(error);
      this.#controller.abort();
    };
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    process.on("uncaughtException", this.#onCrash);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What the command ends with because of it; undefined where nothing happened. */
  get exitCode(): number | undefined {
    if (this.#crashed) return EXIT.problems;
    return this.signal.aborted ? EXIT.interrupted : undefined;
  }

  /** For what stays up until Ctrl-C: waits for it, and answers what to end with. That is well, but for a mistake of ours. */
  async untilAsked(): Promise<number> {
    if (!this.signal.aborted)
      await new Promise<void>((done) => this.signal.addEventListener("abort", () => done(), { once: true }));
    return this.#crashed ? EXIT.problems : EXIT.well;
  }

  release(): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    process.off("uncaughtException", this.#onCrash);
  }
}

/** A command that stays up until Ctrl-C, from here to its exit code; `close` ends it, however it was asked to. */
export async function stayUp(close: () => Promise<void>): Promise<number> {
  const interruption = new Interruption();
  try {
    return await interruption.untilAsked();
  } finally {
    await close();
    interruption.release();
  }
}
