/** Recorded cases that the stand-in does not meet, with the reason. A case that is met must leave the list: the test says so. */
export const unmetCases: ReadonlyMap<string, string> = new Map<string, string>([]);
