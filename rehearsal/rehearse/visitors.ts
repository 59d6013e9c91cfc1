import { Agent } from "node:https";
import { setTimeout as delay } from "node:timers/promises";
import type { Left } from "../emulators/cloudflare/door";
import type { Visit, VisitOptions } from "./visit";

export interface VisitorsOptions extends Pick<VisitOptions, "headers" | "ca"> {
  /** Default 50. */
  perSecond?: number;
}

/** What visitors met. */
export interface VisitorsReport {
  requests: number;
  /** Not answered with 2xx. */
  lost: number;
  seconds: number;
  /** Requests that began in a second, on the average. */
  perSecond: number;
  longestSeconds: number;
  /** Why requests were lost, and when each of them began: seconds from the first visitor on. */
  reasons: Record<string, number[]>;
  /** Requests by the pod that answered. */
  answeredBy: Record<string, number>;
}

type Asking = (url: string, options: VisitOptions) => Promise<Visit>;

/** Of the requests: every other over a connection that is kept, every fifth with a body, every fiftieth takes its time. */
const KEPT = 2;
const WITH_BODY = 5;
const SLOW = 50;
const SLOW_MILLISECONDS = 3_000;
const KEPT_CONNECTIONS = 8;
const BODY = JSON.stringify({ title: "something that must not be sent twice" });

/**
 * Visitors of one URL who come at a steady rate, however long the answers take: who waits for an answer before he asks again would not
 * notice an outage but as one slow request.
 */
export class Visitors {
  readonly #visit: Asking;
  readonly #url: string;
  readonly #options: VisitorsOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: KEPT_CONNECTIONS, scheduling: "fifo" });
  readonly #ended = new AbortController();
  readonly #coming: Promise<void>;
  /** When the first came: milliseconds, as performance.now() counts them. */
  readonly began = performance.now();
  readonly #report: VisitorsReport = {
    requests: 0,
    lost: 0,
    seconds: 0,
    perSecond: 0,
    longestSeconds: 0,
    reasons: {},
    answeredBy: {},
  };

  constructor(visit: Asking, url: string, options: VisitorsOptions = {}) {
    this.#visit = visit;
    this.#url = url;
    this.#options = options;
    this.#coming = this.#come();
  }

  /** So far; requests under way are not in it. */
  get soFar(): Readonly<VisitorsReport> {
    return this.#report;
  }

  /** Nobody comes any more; whoever waits is waited for. */
  async end(): Promise<VisitorsReport> {
    this.#ended.abort();
    await this.#coming;
    this.#agent.destroy();
    return this.#report;
  }

  async #come(): Promise<void> {
    const { perSecond = 50 } = this.#options;
    const under = new Set<Promise<void>>();
    for (let number = 0; !this.#ended.signal.aborted; number++) {
      const asked = this.#ask(number).finally(() => under.delete(asked));
      under.add(asked);
      const next = this.began + ((number + 1) * 1000) / perSecond;
      await delay(Math.max(0, next - performance.now()), undefined, { signal: this.#ended.signal }).catch(
        () => undefined,
      );
    }
    const seconds = (performance.now() - this.began) / 1000;
    await Promise.all(under);
    this.#report.seconds = seconds;
    this.#report.perSecond = this.#report.requests / seconds;
  }

  async #ask(number: number): Promise<void> {
    const { headers, ca } = this.#options;
    const isSlow = number % SLOW === 0;
    const url = isSlow ? `${this.#url}${this.#url.includes("?") ? "&" : "?"}wait=${SLOW_MILLISECONDS}` : this.#url;
    const began = performance.now();
    try {
      const { status, headers: said } = await this.#visit(url, {
        ...(headers ? { headers } : {}),
        ...(ca === undefined ? {} : { ca }),
        ...(number % KEPT === 0 ? { agent: this.#agent } : {}),
        ...(number % WITH_BODY === 0 ? { method: "POST", body: BODY } : {}),
      });
      if (status >= 200 && status < 300) {
        const pod = String(said["x-rehearsal-pod"] ?? "nobody in the cluster");
        this.#report.answeredBy[pod] = (this.#report.answeredBy[pod] ?? 0) + 1;
      } else
        this.#lose(began, `${status}${said["x-rehearsal-reason"] ? `: ${String(said["x-rehearsal-reason"])}` : ""}`);
    } catch (error) {
      this.#lose(began, (error as Error).message);
    }
    this.#report.requests++;
    const seconds = (performance.now() - began - (isSlow ? SLOW_MILLISECONDS : 0)) / 1000;
    this.#report.longestSeconds = Math.max(this.#report.longestSeconds, seconds);
  }

  #lose(began: number, reason: string): void {
    this.#report.lost++;
    (this.#report.reasons[reason] ??= []).push((began - this.began) / 1000);
  }
}

const MOST_TIMES = 20;

/** In one line, and one more for each reason. */
export const describeVisitors = ({
  requests,
  lost,
  seconds,
  perSecond,
  longestSeconds,
  reasons,
}: VisitorsReport): string =>
  [
    `${requests} requests in ${seconds.toFixed(1)} s, ${perSecond.toFixed(1)} a second: ${lost} lost, ` +
      `the slowest answer ${longestSeconds.toFixed(2)} s`,
    ...Object.entries(reasons).map(([reason, times]) => {
      const shown = times.slice(0, MOST_TIMES).map((at) => at.toFixed(1));
      return `  ${times.length} x ${reason}; asked after ${shown.join(", ")}${times.length > MOST_TIMES ? ", …" : ""} s`;
    }),
  ].join("\n");

/** Of those who left the edge without an answer, since these visitors began to come: what it had done for them. */
export const describeLeft = (left: readonly Left[], { began }: Pick<Visitors, "began">): readonly string[] =>
  left
    .filter(({ cameAt }) => cameAt >= began)
    .flatMap(({ cameAt, stayedMilliseconds, asked, steps }) => [
      `${asked} came to the edge after ${((cameAt - began) / 1000).toFixed(1)} s, left ${(stayedMilliseconds / 1000).toFixed(1)} s later:`,
      ...steps.map((step) => `  ${step}`),
    ]);
