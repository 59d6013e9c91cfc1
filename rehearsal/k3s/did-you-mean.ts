import { closest } from "../../model/closest";

/** ` Did you mean "x"?`, or nothing. */
export function didYouMean(written: string, allowed: readonly string[]): string {
  const match = closest(written, allowed);
  return match === undefined ? "" : ` Did you mean "${match}"?`;
}
