import { K3S_RELEASES } from "./k3s-releases";

/** What a change of the K3s release would be. */
export type K3sStep =
  | { readonly allowed: true; readonly kind: "same" | "patch" | "minor" }
  /** `reason` is a sentence for people, with what to do instead where there is something. */
  | { readonly allowed: false; readonly reason: string };

export interface K3sVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** 0 for a release; a candidate comes before it. */
  readonly candidate: number;
  /** The number behind `+k3s`. */
  readonly build: number;
}

/** `v1.36.4+k3s1`, or `v1.36.4-rc2+k3s1`; undefined for anything else. */
export const parseK3sVersion = (text: string): K3sVersion | undefined => {
  const match = /^v(\d+)\.(\d+)\.(\d+)(?:-rc(\d+))?\+k3s(\d+)$/.exec(text);
  if (match === null) return undefined;
  const [major, minor, patch, candidate, build] = match.slice(1).map((part) => Number(part ?? 0));
  return { major: major!, minor: minor!, patch: patch!, candidate: candidate!, build: build! };
};

/**
 * Whether nodes that run `from` may be rolled to `to`. Kubernetes supports servers one minor version apart, and etcd's data and
 * the API's stored objects only ever move forward: a skipped minor misses a migration, and a step back meets data that it
 * cannot read (K3s documentation, "Upgrades"; Kubernetes version skew policy).
 */
export const k3sStep = (from: string, to: string): K3sStep => {
  const [old, next] = [parseK3sVersion(from), parseK3sVersion(to)];
  if (old === undefined || next === undefined)
    return refused(
      `${JSON.stringify(old === undefined ? from : to)} is no K3s release; one looks like v1.36.4+k3s1. ` +
        "Nothing can be said about the step, so it is not taken",
    );
  if (from === to) return { allowed: true, kind: "same" };
  if (old.major !== next.major) return refused(`${from} to ${to} changes the major version; build a new cluster`);
  if (isBefore(next, old))
    return refused(
      `${to} is older than ${from}: what ${from} has written, ${to} may not read. ` +
        "To go back, restore a snapshot from before the upgrade",
    );
  if (next.minor - old.minor <= 1) return { allowed: true, kind: next.minor === old.minor ? "patch" : "minor" };
  const between = `v${old.major}.${old.minor + 1}`;
  const known = Object.keys(K3S_RELEASES).filter((version) => version.startsWith(`${between}.`));
  return refused(
    `${from} to ${to} skips ${between}: minor versions are taken one by one. Go to ${
      known.length === 0 ? `a release of ${between}` : known.join(" or ")
    } first`,
  );
};

const refused = (reason: string): K3sStep => ({ allowed: false, reason });

const isBefore = (one: K3sVersion, other: K3sVersion): boolean => {
  const parts = (version: K3sVersion): number[] => [
    version.minor,
    version.patch,
    version.candidate === 0 ? Number.POSITIVE_INFINITY : version.candidate,
    version.build,
  ];
  const [left, right] = [parts(one), parts(other)];
  const difference = left.findIndex((part, index) => part !== right[index]);
  return difference >= 0 && left[difference]! < right[difference]!;
};
