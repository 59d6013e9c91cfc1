import { EXIT, Refusal } from "./refusal";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * From its making to `release`, Ctrl-C and its kin end nothing by themselves: what was begun can be put back first. Somebody has to
 * look: `check` between two steps, `promise` while waiting for something that does not end by the signal itself.
 */
export class Interruption {
  /** Rejects when it happens. */
  readonly promise: Promise<never>;
  #happened = false;
  readonly #note: () => void;

  constructor() {
    let reject: (error: Error) => void;
    this.promise = new Promise<never>((_, fail) => (reject = fail));
    this.promise.catch(() => undefined);
    this.#note = () => {
      this.#happened = true;
      reject(interrupted());
    };
    for (const signal of SIGNALS) process.on(signal, this.#note);
  }

  check(): void {
    if (this.#happened) throw interrupted();
  }

  release(): void {
    for (const signal of SIGNALS) process.off(signal, this.#note);
  }
}

const interrupted = (): Refusal => new Refusal("\nInterrupted. Nothing was changed.", EXIT.interrupted);
