import type { Lookup } from "../emulators/cloudflare/door";

/** Of proxied names, always (developers.cloudflare.com/dns, "Time to Live", 2026). */
const PROXIED_TTL_SECONDS = 300;

type Ask = (name: string) => Lookup | undefined;

/**
 * A resolver of some visitors: it answers with what the zone's name servers said the last time, until that has lived its time. In the
 * meantime it leads visitors where the name has led.
 */
export class Resolver {
  readonly #ask: Ask;
  readonly #now: () => number;
  readonly #known = new Map<string, { readonly found: Lookup | undefined; readonly untilSeconds: number }>();

  /** `now` in seconds. */
  constructor(ask: Ask, now = (): number => performance.now() / 1000) {
    this.#ask = ask;
    this.#now = now;
  }

  /** What the name servers say at this moment, asked so long ago that this part of the answer's life is over. */
  remember(name: string, lived = 0): void {
    const found = this.#ask(name);
    this.#known.set(name, { found, untilSeconds: this.#now() + (1 - lived) * livesSeconds(found) });
  }

  lookup(name: string): Lookup | undefined {
    const known = this.#known.get(name);
    if (known !== undefined && this.#now() < known.untilSeconds) return known.found;
    this.remember(name);
    return this.#known.get(name)?.found;
  }
}

/** That there is no such name is not remembered here: nobody asks for one. */
const livesSeconds = (found: Lookup | undefined): number =>
  found === undefined ? 0 : found.via === "edge" ? PROXIED_TTL_SECONDS : found.ttlSeconds;
