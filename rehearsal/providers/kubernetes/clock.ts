/** Time as an argument, so that tests need not wait for back-offs of a minute and time limits of five. */

export interface Clock {
  /** Calls back once after so many seconds of this clock; the answer cancels it. */
  after(seconds: number, callback: () => void): () => void;
}

/** A clock that runs `speed` times as fast as the wall's. */
export const makeClock = (speed = 1): Clock => ({
  after(seconds, callback) {
    const timer = setTimeout(callback, (seconds * 1000) / speed);
    return () => clearTimeout(timer);
  },
});

export const sleep = (clock: Clock, seconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const stop = (): void => {
      cancel();
      reject(signal.reason as Error);
    };
    const cancel = clock.after(seconds, () => {
      signal.removeEventListener("abort", stop);
      resolve();
    });
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
