import type { Plan } from "./definition";
import { mebibytes, type MiB } from "./units";

/** From the smallest on. */
export const PLANS = ["free", "pro", "business", "enterprise"] as const satisfies readonly Plan[];

/** What a plan lets Trivet ask for. */
export interface PlanLimits {
  /**
   * Cloudflare answers 413 above it (developers.cloudflare.com/support/troubleshooting/http-status-codes/4xx-client-error/error-413,
   * 2025, and nine.ch's FAQ; Enterprise can have more by contract).
   */
  readonly largestBody: MiB;
  /** Rate limiting rules of a zone (developers.cloudflare.com/waf/rate-limiting-rules, "Availability", 2026-08-25). */
  readonly rateLimits: number;
  /** Counting periods, in seconds; same page. */
  readonly rateLimitSeconds: readonly number[];
  /** Whether a rate limiting rule may look at the host: Free has Path and Verified Bot alone; same page. */
  readonly rateLimitsByHost: boolean;
  /** Whether managed rules can be switched: Free has a ruleset of its own, always on (…/waf/managed-rules, 2026-04). */
  readonly managedRules: boolean;
  /**
   * Rules of the phases http_request_cache_settings and http_request_dynamic_redirect (…/cache/how-to/cache-rules, 2023-05, where
   * Enterprise had 125; read once for the others).
   */
  readonly cacheRules: number;
  readonly redirects: number;
}

/** What the API takes on every plan that goes as far: the page above has more values, its reference these. */
const PERIODS = [10, 60, 120, 300, 600, 3600];
const upTo = (seconds: number): number[] => PERIODS.filter((period) => period <= seconds);

export const PLAN_LIMITS: Readonly<Record<Plan, PlanLimits>> = {
  free: {
    largestBody: mebibytes(100),
    rateLimits: 1,
    rateLimitSeconds: upTo(10),
    rateLimitsByHost: false,
    managedRules: false,
    cacheRules: 10,
    redirects: 10,
  },
  pro: {
    largestBody: mebibytes(100),
    rateLimits: 2,
    rateLimitSeconds: upTo(60),
    rateLimitsByHost: true,
    managedRules: true,
    cacheRules: 25,
    redirects: 25,
  },
  business: {
    largestBody: mebibytes(200),
    rateLimits: 5,
    rateLimitSeconds: upTo(600),
    rateLimitsByHost: true,
    managedRules: true,
    cacheRules: 50,
    redirects: 50,
  },
  enterprise: {
    largestBody: mebibytes(500),
    rateLimits: 100,
    rateLimitSeconds: upTo(3600),
    rateLimitsByHost: true,
    managedRules: true,
    cacheRules: 300,
    redirects: 300,
  },
};

/** The smallest plan that has what is asked for. */
export const smallestPlan = (has: (limits: PlanLimits) => boolean): Plan | undefined =>
  PLANS.find((plan) => has(PLAN_LIMITS[plan]));

/**
 * Ports that Cloudflare takes from visitors and carries on to the servers' same port
 * (developers.cloudflare.com/fundamentals/reference/network-ports, read in two copies, 2026-11).
 */
export const PROXIED_PORTS = {
  https: [443, 2053, 2083, 2087, 2096, 8443],
  http: [80, 8080, 8880, 2052, 2082, 2086, 2095],
} as const;

/**
 * Cloudflare answers 524 when the first byte has not come by then. Its page said 100 s for years and says 120 s of 2026-07
 * (developers.cloudflare.com/fundamentals/reference/connection-limits): the smaller number is safe with either.
 */
export const LONGEST_ANSWER_SECONDS = 100;
