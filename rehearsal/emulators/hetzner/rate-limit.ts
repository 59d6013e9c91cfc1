/** A project's allowance: `perHour` requests, which come back evenly, one a second at the default of 3600. */
export class RateLimit {
  readonly #perHour: number;
  #remaining: number;
  #countedAt = Date.now();

  constructor(perHour: number) {
    this.#perHour = perHour;
    this.#remaining = perHour;
  }

  /** Counts a request; false where the allowance is used up. */
  take(): boolean {
    this.#refill();
    if (this.#remaining < 1) return false;
    this.#remaining--;
    return true;
  }

  headers(): Record<string, string> {
    this.#refill();
    const secondsToFull = Math.ceil(((this.#perHour - this.#remaining) * 3600) / this.#perHour);
    return {
      "RateLimit-Limit": String(this.#perHour),
      "RateLimit-Remaining": String(Math.floor(this.#remaining)),
      "RateLimit-Reset": String(Math.floor(Date.now() / 1000) + secondsToFull),
    };
  }

  #refill(): void {
    const now = Date.now();
    const refilled = ((now - this.#countedAt) / 3_600_000) * this.#perHour;
    this.#remaining = Math.min(this.#perHour, this.#remaining + refilled);
    this.#countedAt = now;
  }
}
