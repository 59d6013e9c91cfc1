import type { Platform } from "../model/platform";
import {
  certificateNames,
  certificateProblems,
  certificateTerm,
  daysLeft,
  endsSoon,
  type PublicCertificate,
  renewalOf,
  type Term,
} from "../model/public-certificate";
import type { RenewalWindow } from "./acme";
import { textOf } from "./cloud-access";
import type { Configuration } from "./stack";

/** Undefined unless both halves are there. */
export function knownCertificate(configuration: Configuration): PublicCertificate | undefined {
  const pem = textOf(configuration, "trivet:publicCertificate");
  const keyPem = textOf(configuration, "trivet:publicCertificateKey");
  return pem === undefined || keyPem === undefined ? undefined : { pem, keyPem };
}

/** Pure: what `--check` says. */
export function verdict(
  platform: Platform,
  known: PublicCertificate | undefined,
  now: Date,
): { readonly fits: boolean; readonly lines: readonly string[] } {
  const names = certificateNames(platform.edge).join(", ");
  if (known === undefined)
    return {
      fits: false,
      lines: [
        `none: an emergency would show visitors of ${names} what they do not trust (NT001). Do: trivet certificate`,
      ],
    };
  const problems = certificateProblems(platform.edge, known, now);
  const term = certificateTerm(known.pem);
  const soon = term !== undefined && problems.length === 0 && endsSoon(term, now);
  return {
    fits: problems.length === 0 && !soon,
    lines: [
      ...problems.map(({ path, code, reason = "", action = "" }) => `${code}  ${path}: ${reason}. Do: ${action}`),
      ...(soon ? [`NT004  ${ending(term, now)}. Do: trivet certificate --renew`] : []),
      ...(term !== undefined && problems.length === 0 && !soon
        ? [`well: ${names}; ${ending(term, now)}, renewed from ${day(renewalOf(term))} on`]
        : []),
    ],
  };
}

const ending = (term: Term, now: Date): string => `it ends on ${day(term.to)}, in ${daysLeft(term, now)} days`;

const day = (at: Date): string => at.toISOString().slice(0, 10);

/** Pure: why another one is needed; undefined where none is. */
export function dueReason(
  platform: Platform,
  known: PublicCertificate | undefined,
  window: RenewalWindow | undefined,
  now: Date,
  random = Math.random(),
): string | undefined {
  if (known === undefined) return "There is no public certificate yet.";
  const problems = certificateProblems(platform.edge, known, now);
  if (problems.length > 0)
    return `The public certificate does not fit: ${problems.map(({ reason }) => reason).join("; ")}.`;
  const term = certificateTerm(known.pem);
  if (term !== undefined && (now >= renewalOf(term) || endsSoon(term, now)))
    return `The public certificate is due: ${ending(term, now)}.`;
  // Somewhere in the window, so that not everybody comes at once (RFC 9773, 4.2).
  const chosen = window && window.start.getTime() + random * (window.end.getTime() - window.start.getTime());
  return chosen !== undefined && now.getTime() >= chosen
    ? "The authority asks to renew the public certificate now."
    : undefined;
}
