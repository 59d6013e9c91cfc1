import { EXIT, Refusal } from "./refusal";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * From its making to `release`, Ctrl-C and its kin end nothing by themselves: what was begun can be put back first. Somebody has to
 * look: `check` between two steps, `promise` while waiting for something that does not end by the signal itself, `signal` for what can be told to.
 */
export class Interruption {
  /** Rejects when it happens. */
  readonly promise: Promise<never>;
  readonly #controller = new AbortController();
  readonly #note: () => void;

  constructor() {
    let reject: (error: Error) => void;
    this.promise = new Promise<never>((_, fail) => (reject = fail));
    this.promise.catch(() => undefined);
    this.#note = () => {
      this.#controller.abort(interrupted());
      reject(interrupted());
    };
    for (const signal of SIGNALS) process.on(signal, this.#note);
  }

  /** Aborted with the refusal that `check` throws. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  check(): void {
    this.signal.throwIfAborted();
  }

  release(): void {
    for (const signal of SIGNALS) process.off(signal, this.#note);
  }
}

const interrupted = (): Refusal => new Refusal("\nInterrupted. Nothing was changed.", EXIT.interrupted);
