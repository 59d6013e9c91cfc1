import type { Plan } from "./definition";

/** From the smallest on. */
export const PLANS = ["free", "pro", "business", "enterprise"] as const satisfies readonly Plan[];
