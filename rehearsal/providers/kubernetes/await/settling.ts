/**
 * Stragglers among the endpoints are given so long after each change: 10 s, as by the real provider. Tests and drills, in which nothing
 * straggles, make it shorter by the variable, and so save these seconds in each of their many first runs.
 */
export const SETTLE_SECONDS = Number(process.env["TRIVET_REHEARSAL_SETTLE_SECONDS"] ?? "10");
