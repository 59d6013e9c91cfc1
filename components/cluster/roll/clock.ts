import { setTimeout as delay } from "node:timers/promises";

/** Time, so that tests can have their own. In seconds. */
export interface Clock {
  now(): number;
  sleep(seconds: number): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now() / 1000,
  sleep: async (seconds) => void (await delay(seconds * 1000)),
};
