import { ApiError } from "./envelope";

/** Calls a user may make in a window (developers.cloudflare.com/fundamentals/api/reference/limits, 2026). */
const CALLS_A_WINDOW = 1200;
const WINDOW_SECONDS = 300;

export const throttled = (waitSeconds: number): ApiError =>
  new ApiError(
    429,
    { code: 971, message: "Please wait and consider throttling your request speed" },
    {
      "retry-after": String(waitSeconds),
      ratelimit: `"default";r=0;t=${waitSeconds}`,
      "ratelimit-policy": `"default";q=${CALLS_A_WINDOW};w=${WINDOW_SECONDS}`,
    },
  );

/** A fixed window a token, as the answer's headers tell of it. */
export class RateLimit {
  readonly #callsAWindow: number;
  readonly #now: () => Date;
  readonly #windows = new Map<string, { endsAt: number; calls: number }>();

  constructor(now: () => Date, callsAWindow = CALLS_A_WINDOW) {
    this.#now = now;
    this.#callsAWindow = callsAWindow;
  }

  /** Counts a call; gives the headers that tell what is left, or refuses. */
  count(token: string): Record<string, string> {
    const now = this.#now().getTime();
    let window = this.#windows.get(token);
    if (window === undefined || window.endsAt <= now) {
      window = { endsAt: now + WINDOW_SECONDS * 1000, calls: 0 };
      this.#windows.set(token, window);
    }
    const waitSeconds = Math.ceil((window.endsAt - now) / 1000);
    if (++window.calls > this.#callsAWindow) throw throttled(waitSeconds);
    return {
      ratelimit: `"default";r=${this.#callsAWindow - window.calls};t=${waitSeconds}`,
      "ratelimit-policy": `"default";q=${this.#callsAWindow};w=${WINDOW_SECONDS}`,
    };
  }
}
