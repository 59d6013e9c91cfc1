/** Recorded cases that the stand-in does not meet, each with its reason. A case that is met must not stand here. */

export const UNMET: Readonly<Record<string, string>> = {
  "config/plugin-info":
    "recorded from 4.33.0; the stand-in gives the version that the SDK asks for, or the engine warns at every run",
  "kinds/ConfigMap/check/missing-apiVersion":
    "the real provider's process dies of a failed assertion; the stand-in answers as for a kind that is not served",
  "kinds/Job/diff/ttl":
    "the real provider answered with the Job as it was before the update, from a late watch; the stand-in reads it anew",
  "missing/import": "an empty id is refused with an empty message; the stand-in says what is wrong with it",
  "normalise/autonaming-propose": "the Provider interface passes on no autonaming settings of the engine",
  "normalise/autonaming-enforce": "the Provider interface passes on no autonaming settings of the engine",
  "normalise/autonaming-disable": "the Provider interface passes on no autonaming settings of the engine",
};

/** Fails where a case differs and is not listed, and where a listed one does not differ any more. */
export const expectMet = (id: string, differences: readonly string[]): void => {
  const reason = UNMET[id];
  if (reason === undefined) return expect(differences).toEqual([]);
  if (differences.length === 0) throw new Error(`${id} is met: take it from the list of unmet cases (${reason})`);
};

/** Groups that are not played here, each with where they are. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  "engine/":
    "needs the engine: engine.test.ts lives through what lifecycle/basic and lifecycle/partial-failure are about; the others are not replayed, only their provider calls (diffConfig/, unreachable/)",
};
