/**
 * The candidate that was probably meant, or undefined: no guess is better than a wild one.
 * At most one slip in a short word, two in one of six letters or more; neighbours swapped count as one slip.
 */
export const closest = (text: string, candidates: Iterable<string>): string | undefined => {
  const allowedSlips = text.length < 6 ? 1 : 2;
  let best: { candidate: string; slips: number } | undefined;
  for (const candidate of candidates) {
    const slips = distance(text.toLowerCase(), candidate.toLowerCase());
    if (slips <= allowedSlips && slips < (best?.slips ?? Number.POSITIVE_INFINITY)) best = { candidate, slips };
  }
  return best?.candidate;
};

/** Edit distance with swapped neighbours (optimal string alignment). */
const distance = (a: string, b: string): number => {
  if (Math.abs(a.length - b.length) > 2) return Number.POSITIVE_INFINITY;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substituted = last[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current[column] = Math.min(substituted, last[column]! + 1, current[column - 1]! + 1);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        current[column] = Math.min(current[column]!, beforeLast[column - 2]! + 1);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length]!;
};
