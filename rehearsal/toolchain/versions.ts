/** The first `1.2.3` in what a tool prints about itself, or null. */
export function readVersion(output: string): string | null {
  return /(?<![\d.])v?(\d+\.\d+\.\d+)/.exec(output)?.[1] ?? null;
}

/** Below zero where `a` is older than `b`. Three numbers each, as `readVersion` returns them. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  for (const index of [0, 1, 2]) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export const isWithin = (version: string, { from, below }: { from: string; below: string }): boolean =>
  compareVersions(version, from) >= 0 && compareVersions(version, below) < 0;

export const describeRange = ({ from, below }: { from: string; below: string }): string =>
  `${from} or newer, below ${below}`;
