import type { Platform } from "../model/platform";
import { scopes } from "../model/scopes";
import { type CloudAccess, EditableCloud, type Told } from "./cloud";
import { EXIT, Refusal } from "./refusal";

/** Cloudflare's shortest on every plan. */
const TTL_SECONDS = 60;
const RECORDS = 100;

interface ZoneAnswer {
  readonly name: string;
  readonly status: string;
  readonly type: string;
  readonly name_servers: readonly string[];
}

interface RecordAnswer {
  readonly id: string;
  readonly type: string;
  readonly comment: string | null;
}

/**
 * The TXT records by which an authority sees that the zone is ours: the only thing that a command changes at Cloudflare by itself. Each carries a
 * mark, so that the next run finds what one that was killed left behind.
 */
export class ChallengeRecords {
  /** Where the records stand: of the apex and of the wildcard alike. */
  readonly name: string;
  readonly #cloud: EditableCloud;
  readonly #zonePath: string;
  readonly #mark: string;
  readonly #permission: string;

  constructor(access: CloudAccess, platform: Platform) {
    const { zone } = platform.edge;
    this.name = `_acme-challenge.${zone.name}`;
    this.#cloud = new EditableCloud(access);
    this.#zonePath = `/zones/${zone.id}`;
    this.#mark = `trivet certificate ${platform.name}`;
    this.#permission = scopes(platform).find(({ permission }) => permission === "dns:edit")?.dashboard ?? "DNS: Edit";
  }

  /** The zone's name servers; refuses a zone in which nobody would see the records. */
  async nameServers(): Promise<readonly string[]> {
    const { result: zone } = this.#told(
      await this.#cloud.get<{ result: ZoneAnswer }>(this.#zonePath),
      "look at the zone",
    );
    const [refusal] = zoneRefusals(zone);
    if (refusal !== undefined) throw new Refusal(refusal);
    return zone.name_servers;
  }

  async add(value: string): Promise<void> {
    // In quotes, as the API keeps every TXT record.
    const body = { type: "TXT", name: this.name, content: `"${value}"`, ttl: TTL_SECONDS, comment: this.#mark };
    this.#told(await this.#cloud.send("POST", `${this.#zonePath}/dns_records`, body), `add a TXT record ${this.name}`);
  }

  /** Removes all that carry the mark, of this run and of earlier ones; answers how many. */
  async removeAll(): Promise<number> {
    const found = await this.#cloud.get<{ result: readonly RecordAnswer[] }>(
      `${this.#zonePath}/dns_records?name=${this.name}&per_page=${RECORDS}`,
    );
    const ours = this.#told(found, "look at the zone's records").result.filter(
      ({ type, comment }) => type === "TXT" && comment === this.#mark,
    );
    for (const { id } of ours) {
      const removed = await this.#cloud.send("DELETE", `${this.#zonePath}/dns_records/${id}`);
      if (!removed.told && removed.status === 404) continue; // by somebody else, meanwhile
      this.#told(removed, `remove the TXT record ${this.name}`);
    }
    return ours.length;
  }

  #told<T>(answer: Told<T>, what: string): T {
    if (answer.told) return answer.value;
    const { status, reason } = answer;
    throw new Refusal(
      status === 401 || status === 403
        ? `The stack's token of Cloudflare may not ${what} (${reason}). Do: give it "${this.#permission}" for this zone at Cloudflare, My Profile, API Tokens; trivet doctor names everything that it needs.`
        : `Cloudflare does not ${what}: ${reason}`,
      status === undefined ? EXIT.usage : EXIT.problems,
    );
  }
}

/** Pure: why an authority could not see records of this zone. */
export function zoneRefusals({ name, status, type, name_servers: servers }: ZoneAnswer): readonly string[] {
  return [
    ...(type === "partial"
      ? [
          `Cloudflare is not the name server of ${name} (a zone of type "partial"): records in it are seen by nobody. Do: get the certificate where the zone is served, and set trivet:publicCertificate and trivet:publicCertificateKey.`,
        ]
      : []),
    ...(status !== "active"
      ? [
          `The zone ${name} is not active at Cloudflare (${status}): nobody on the internet sees its records. Do: name ${servers.join(" and ")} as its name servers at the registrar, and wait until Cloudflare says that it is active.`,
        ]
      : []),
  ];
}
