import { lookup, Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import { pause } from "./acme";
import { EXIT, Refusal } from "./refusal";

/** How long a record may take to be seen everywhere: Cloudflare's are there within seconds (lego waits 120 s for it). */
const PATIENCE_MILLISECONDS = 180_000;
const FIRST_PAUSE_MILLISECONDS = 250;
const LONGEST_PAUSE_MILLISECONDS = 2_000;
const ANSWER_MILLISECONDS = 3_000;

const OTHERS = "--name-server HOST:PORT names one to ask instead";

/** Whom to ask whether a record is there: by default those that are authoritative for the zone, each of them. */
export class NameServers {
  readonly #servers: readonly { readonly name: string; readonly resolver: Resolver }[];

  private constructor(servers: readonly { name: string; address: string }[]) {
    this.#servers = servers.map(({ name, address }) => {
      const resolver = new Resolver({ timeout: ANSWER_MILLISECONDS, tries: 1 });
      resolver.setServers([address]);
      return { name, resolver };
    });
  }

  /** `given`: `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:53`; without any, the zone's own. */
  static async of(given: readonly string[], zoneServers: readonly string[]): Promise<NameServers> {
    for (const server of given)
      if (isIP(server.replace(/^\[(.*)\](:\d+)?$/, "$1")) === 0 && isIP(server.replace(/:\d+$/, "")) === 0)
        throw new Refusal(`"${server}" is no address of a name server. Do: 192.0.2.53 or 192.0.2.53:5353.`, EXIT.usage);
    if (given.length > 0) return new NameServers(given.map((address) => ({ name: address, address })));
    const found = await Promise.all(
      zoneServers.map(async (name) => {
        const [first] = await lookup(name, { all: true, order: "ipv4first" }).catch(() => []);
        return first === undefined ? [] : [{ name, address: first.address }];
      }),
    );
    if (found.flat().length > 0) return new NameServers(found.flat());
    throw new Refusal(
      `The zone's name servers (${zoneServers.join(", ")}) are not found from here; ${OTHERS}.`,
      EXIT.usage,
    );
  }

  /** Waits until every one of them shows all of the values. */
  async waitForTxt(
    name: string,
    values: readonly string[],
    signal: AbortSignal,
    patienceMilliseconds = PATIENCE_MILLISECONDS,
  ): Promise<void> {
    const deadline = performance.now() + patienceMilliseconds;
    for (let wait = FIRST_PAUSE_MILLISECONDS; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MILLISECONDS)) {
      const lacks = (await Promise.all(this.#servers.map((server) => lacking(server, name, values)))).flat();
      signal.throwIfAborted();
      if (lacks.length === 0) return;
      if (performance.now() > deadline)
        throw new Refusal(
          `The TXT records of ${name} are not seen after ${Math.round(patienceMilliseconds / 1000)} s: ${lacks.join("; ")}. If port 53 is closed from here, ${OTHERS}.`,
        );
      await pause(wait, signal);
    }
  }

  /** The CAA records at a name, as the first says that answers; none where nobody does: the authority looks for itself. */
  async caa(name: string): Promise<readonly CaaRecord[]> {
    for (const { resolver } of this.#servers) {
      try {
        return await resolver.resolveCaa(name);
      } catch (error) {
        if (["ENODATA", "ENOTFOUND"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
      }
    }
    return [];
  }
}

/** As node:dns has it: one of the two, where it is about certificates at all. */
export interface CaaRecord {
  readonly issue?: string | undefined;
  readonly issuewild?: string | undefined;
}

/** Pure: why this authority may not issue for the domain and its wildcard (RFC 8659, 8657). */
export function caaRefusal(
  domain: string,
  records: readonly CaaRecord[],
  identities: readonly string[],
): string | undefined {
  if (identities.length === 0) return undefined;
  const issue = records.flatMap(({ issue: value }) => value ?? []);
  const wild = records.flatMap(({ issuewild: value }) => value ?? []);
  const allows = (values: readonly string[]): boolean =>
    values.length === 0 || values.some((one) => names(one, identities));
  if (allows(issue) && allows(wild.length > 0 ? wild : issue)) return undefined;
  return `The CAA records of ${domain} keep ${identities.join(", ")} out: ${[...issue.map((one) => `issue "${one}"`), ...wild.map((one) => `issuewild "${one}"`)].join(", ")}. Do: add ${identities[0]} to edge.zone.caa and pulumi up, or wherever the records are kept.`;
}

function names(value: string, identities: readonly string[]): boolean {
  const [issuer = "", ...parameters] = value.split(";").map((part) => part.trim());
  const methods = parameters.find((one) => one.startsWith("validationmethods="))?.split("=")[1];
  return identities.includes(issuer) && (methods === undefined || methods.split(",").includes("dns-01"));
}

async function lacking(
  { name: server, resolver }: { readonly name: string; readonly resolver: Resolver },
  name: string,
  values: readonly string[],
): Promise<readonly string[]> {
  try {
    const seen = (await resolver.resolveTxt(name)).map((parts) => parts.join(""));
    return values.every((value) => seen.includes(value)) ? [] : [`${server} has not all of them yet`];
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    return [["ENODATA", "ENOTFOUND"].includes(code) ? `${server} has none yet` : `${server} does not answer (${code})`];
  }
}
