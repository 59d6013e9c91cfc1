import type { Platform } from "../model/platform";
import { certificateNames, certificateProblems, type PublicCertificate } from "../model/public-certificate";
import { AcmeProblem, type AcmeDirectory, type CertificateAuthority, freshKey, ProofProblem } from "./acme";
import type { ChallengeRecords } from "./challenge-records";
import { caaRefusal, NameServers } from "./name-servers";
import { Refusal } from "./refusal";

/** What an order needs. */
export interface OrderOptions {
  readonly platform: Platform;
  readonly authority: CertificateAuthority;
  readonly directory: AcmeDirectory;
  readonly records: ChallengeRecords;
  /** Asked whether records are seen, instead of the zone's own. */
  readonly nameServers: readonly string[];
  /** PEM of the certificate of the same authority that is renewed. */
  readonly replaces?: string | undefined;
  /** Ends it, with the reason that it was given. Records are removed all the same. */
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/**
 * Gets a certificate for the platform's domain and every name of one level below it, by TXT records in its zone. What is left of the records of an earlier
 * run goes first; what this one makes goes last, however it ends. Nothing is written down: that is the caller's.
 */
export async function orderCertificate(options: OrderOptions): Promise<PublicCertificate> {
  const { platform, authority, directory, records, replaces, signal, say } = options;
  const names = certificateNames(platform.edge);
  const zoneServers = await records.nameServers();
  const nameServers = await NameServers.of(options.nameServers, zoneServers);
  const left = await records.removeAll();
  if (left > 0)
    say(
      `${left === 1 ? "A TXT record" : `${left} TXT records`} of a run that was cut off ${left === 1 ? "is" : "are"} removed.`,
    );
  const refusal = caaRefusal(
    platform.edge.zone.name,
    await nameServers.caa(platform.edge.zone.name),
    directory.meta?.caaIdentities ?? [],
  );
  if (refusal !== undefined) throw new Refusal(refusal);
  signal.throwIfAborted();

  const host = new URL(authority.directoryUrl).host;
  say(`Ordering ${names.join(" and ")} from ${host}.`);
  const order = await explained(host, () => authority.order(names, replaces));
  const proofs = await explained(host, () => authority.proofs(order));
  if (proofs.length > 0) {
    try {
      for (const { value } of proofs) {
        await records.add(value);
        signal.throwIfAborted();
      }
      say(`${proofs.length} TXT records ${records.name} are made. Waiting until the name servers show them.`);
      await nameServers.waitForTxt(
        records.name,
        proofs.map(({ value }) => value),
        signal,
      );
      say(`They are seen. ${host} looks at them.`);
      await explained(host, () => authority.validate(order, proofs));
    } finally {
      await clearUp(records, say);
    }
  }
  say("The names are proved. Waiting for the certificate.");
  const keyPem = await freshKey();
  const pem = await explained(host, () => authority.issue(order, names, keyPem));
  const certificate = { pem, keyPem };
  const problems = certificateProblems(platform.edge, certificate, new Date());
  if (problems.length > 0)
    throw new Refusal(
      `What ${host} issued does not fit: ${problems.map(({ reason }) => reason).join("; ")}. Nothing was written.`,
    );
  return certificate;
}

/** Says what could not be removed, beside the reason for which the run ends. */
async function clearUp(records: ChallengeRecords, say: (text: string) => void): Promise<void> {
  try {
    if ((await records.removeAll()) > 0) say("The TXT records are removed.");
  } catch (error) {
    say(`TXT records ${records.name} are left; the next run removes them. ${(error as Error).message}`);
  }
}

async function explained<T>(host: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof AcmeProblem) throw new Refusal(explanation(host, error));
    throw error;
  }
}

/** Pure: an authority's refusal for people, and what to do. */
export function explanation(host: string, problem: AcmeProblem): string {
  const { kind, message, retryAt } = problem;
  const known = (problem instanceof ProofProblem ? PROOF_ADVICE[kind] : undefined) ?? ADVICE[kind];
  const again =
    retryAt === undefined
      ? ""
      : ` It takes the next try from ${retryAt.toISOString().replace(/:\d\d\.\d+Z$/, "Z")} on.`;
  const words = `${known === undefined ? "" : `${known.means}: `}${message.replace(/\.$/, "")}.`;
  return [
    `${host} refuses${known === undefined && kind !== "" ? ` (${kind})` : ""}: ${words}${again}`,
    ...(known === undefined ? [] : [`Do: ${known.action}`]),
  ].join(" ");
}

interface Advice {
  readonly means: string;
  readonly action: string;
}

/** The same kinds mean something else where an account is refused. */
const PROOF_ADVICE: Readonly<Record<string, Advice>> = {
  unauthorized: {
    means: "it does not see the right TXT record",
    action:
      "look for a CNAME or an NS record at _acme-challenge that leads elsewhere, and for another run at the same time; then the same command again",
  },
  dns: {
    means: "it cannot ask the domain's name servers",
    action:
      "look at the delegation and at DNSSEC (trivet doctor says what the registrar lacks), then the same command again",
  },
};

const ADVICE: Readonly<Record<string, Advice>> = {
  rateLimited: {
    means: "too many orders, or too many that failed",
    action: "wait until then; try with --directory of its staging server, whose limits are wide",
  },
  caa: {
    means: "the CAA records of the domain keep it out",
    action: "add the authority to edge.zone.caa, pulumi up, then the same command again",
  },
  rejectedIdentifier: {
    means: "it issues no certificates for these names",
    action: "look whether the domain is a public one; another authority by --directory may take it",
  },
  externalAccountRequired: {
    means: "it takes only accounts that were opened with it beforehand",
    action: "take another authority by --directory",
  },
};
