/** Recorded cases that the stand-in does not meet, each with its reason. A test fails when one of them is met after all. */
export const UNMET: Readonly<Record<string, string>> = {};
