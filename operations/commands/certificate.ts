import { z } from "zod";
import { certificateTerm, type PublicCertificate } from "../../model/public-certificate";
import {
  AcmeProblem,
  type AcmeDirectory,
  CertificateAuthority,
  freshKey,
  LETS_ENCRYPT,
  type RenewalWindow,
} from "../acme";
import { explanation, orderCertificate } from "../certificate-order";
import { dueReason, knownCertificate, verdict } from "../certificate-verdict";
import { ChallengeRecords } from "../challenge-records";
import { cloudflareAccess, textOf } from "../cloud-access";
import { Interruption } from "../interruption";
import { EXIT, Refusal } from "../refusal";
import { setSecrets } from "../settings-file";
import { platformOf, settingsOf, type Stack } from "../stack";
import type { Terminal } from "../terminal";

export interface CertificateOptions {
  /** Only says whether the one that is there fits and lasts; asks nobody. */
  readonly check?: boolean;
  /** Only when it is due. Nothing is asked. */
  readonly renew?: boolean;
  /** Of the ACME server. Default: Let's Encrypt's. */
  readonly directory?: string;
  /** Where the authority reaches the account's owner; for a new account. */
  readonly contact?: string;
  /** The terms of service were read; for a new account. */
  readonly agreeTos?: boolean;
  /** Asked whether the records are seen, instead of the zone's own name servers. */
  readonly nameServer?: readonly string[];
  readonly yes?: boolean;
}

const ACCOUNT_KEY = "acmeAccountKey";

/** `trivet certificate`: what visitors' browsers trust while Cloudflare is bypassed, obtained beforehand and kept as secrets of the stack. */
export async function certificate(
  stack: Stack,
  terminal: Terminal,
  options: CertificateOptions,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const configuration = await stack.configuration();
  const platform = platformOf(stack.shortName, settingsOf(configuration));
  const known = knownCertificate(configuration);
  const now = new Date();
  if (options.check === true) {
    const { fits, lines } = verdict(platform, known, now);
    terminal.result(lines.join("\n"));
    return fits ? EXIT.well : EXIT.problems;
  }

  const access = cloudflareAccess(configuration, environment);
  if (access === undefined)
    throw new Refusal("The stack has no token of Cloudflare. Do: pulumi config set --secret cloudflare:apiToken");
  const interruption = new Interruption();
  const { signal } = interruption;
  const directoryUrl = directoryOf(options);
  const storedKey = textOf(configuration, `trivet:${ACCOUNT_KEY}`);
  const accountKeyPem = storedKey ?? (await freshKey());
  const authority = new CertificateAuthority({ directoryUrl, accountKeyPem, signal });
  let isOrdered = false;
  try {
    const window = known && (await windowOf(authority, known, terminal));
    const due = dueReason(platform, known, window, now);
    if (options.renew === true && due === undefined) {
      terminal.result(verdict(platform, known, now).lines.join("\n"));
      terminal.say("Nothing is due.");
      return EXIT.well;
    }
    terminal.say(due ?? "The one that is there still fits and lasts; another one is ordered all the same.");
    if (options.renew !== true && due === undefined && options.yes !== true && !(await terminal.confirm("Order it?")))
      throw new Refusal("Nothing was changed.");
    interruption.check();

    const directory = await authority.directory();
    const agreed = agreement(directory, directoryUrl, options);
    if (!(await authority.hasAccount())) {
      await authority.register(agreed());
      terminal.say(`An account for ${options.contact} is opened at ${new URL(directoryUrl).host}.`);
      if (storedKey === undefined) await setSecrets(stack, { [ACCOUNT_KEY]: accountKeyPem });
    }
    interruption.check();
    isOrdered = true;
    const fresh = await orderCertificate({
      platform,
      authority,
      directory,
      records: new ChallengeRecords(access, platform),
      nameServers: options.nameServer ?? [],
      // Only the authority that issued it can say when to renew it.
      replaces: window && known?.pem,
      signal,
      say: (text) => terminal.say(text),
    });
    interruption.check();
    await setSecrets(stack, { publicCertificate: fresh.pem, publicCertificateKey: fresh.keyPem });
    terminal.result(verdict(platform, fresh, new Date()).lines.join("\n"));
    terminal.say(
      `trivet:publicCertificate and trivet:publicCertificateKey are set in ${stack.configFile}, encrypted. The next pulumi up takes it into the cluster.`,
    );
    return EXIT.well;
  } catch (error) {
    if (signal.aborted)
      throw new Refusal(
        `\nInterrupted. ${isOrdered ? "No certificate was written. The same command begins anew." : "Nothing was ordered."}`,
        EXIT.interrupted,
      );
    if (error instanceof AcmeProblem) throw new Refusal(explanation(new URL(directoryUrl).host, error));
    throw error;
  } finally {
    interruption.release();
  }
}

/** Another authority than the one that issued it does not know it, and one that is away must not hide that all is well. */
async function windowOf(
  authority: CertificateAuthority,
  { pem }: PublicCertificate,
  terminal: Terminal,
): Promise<RenewalWindow | undefined> {
  if (certificateTerm(pem) === undefined) return undefined;
  try {
    return await authority.renewalWindow(pem);
  } catch (error) {
    if (!(error instanceof Refusal) || error.exitCode === EXIT.interrupted) throw error;
    terminal.say(`${error.message}: when it wants the certificate to be renewed is not known.`);
    return undefined;
  }
}

function directoryOf({ directory = LETS_ENCRYPT }: CertificateOptions): string {
  if (URL.canParse(directory) && new URL(directory).protocol === "https:") return directory;
  throw new Refusal(`--directory ${directory}: it is the https:// URL of an ACME server's directory.`, EXIT.usage);
}

/** Answers whom to reach, once somebody has agreed to the terms; refuses otherwise, before anything is opened. */
const agreement =
  ({ meta: { termsOfService } = {} }: AcmeDirectory, directoryUrl: string, { contact, agreeTos }: CertificateOptions) =>
  (): string => {
    const host = new URL(directoryUrl).host;
    if (agreeTos !== true)
      throw new Refusal(
        `This needs a new account at ${host}, and somebody who agrees to its terms of service${termsOfService === undefined ? "" : `: ${termsOfService}`}. Do: read them, then add --agree-tos --contact <your e-mail address>.`,
        EXIT.usage,
      );
    const address = z.email().safeParse(contact);
    if (!address.success)
      throw new Refusal(
        `A new account at ${host} needs an e-mail address by which its owner is reached. Do: add --contact <your e-mail address>.`,
        EXIT.usage,
      );
    return address.data;
  };
