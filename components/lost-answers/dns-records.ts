import * as pulumi from "@pulumi/pulumi";
import type { CloudApi } from "../cloud-api";
import { installationIn } from "../installation";
import type { Find, Finders, Inputs } from "./left";

export const DNS_RECORD = "cloudflare:index/dnsRecord:DnsRecord";

interface ZoneRecord {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content: string;
  readonly comment?: string | null;
}

const collectionOf = (inputs: Inputs): string => `/zones/${String(inputs["zoneId"])}/dns_records`;

/** Those that have the name already. */
const recordsAt = async (cloudflare: CloudApi, inputs: Inputs): Promise<readonly ZoneRecord[]> => {
  const query = new URLSearchParams({ name: String(inputs["name"]), per_page: "100" });
  return (await cloudflare.get<{ result: ZoneRecord[] }>(`${collectionOf(inputs)}?${query.toString()}`))?.result ?? [];
};

const find: Find = async ({ cloudflare }, inputs) => {
  const record = (await recordsAt(cloudflare, inputs)).find(
    ({ type, content }) => type === inputs["type"] && content === inputs["content"],
  );
  return (
    record && {
      title: `DNS record ${String(inputs["name"])} ${record.type} ${record.content}`,
      mark: installationIn(record.comment),
      remove: async () => {
        await cloudflare.send("DELETE", `${collectionOf(inputs)}/${record.id}`);
      },
    }
  );
};

export const DNS_RECORDS: Finders = { [DNS_RECORD]: find };

/** One that makes room for its successor, and the name that it had. */
export interface MovedRecord {
  readonly path: string;
  readonly name: string;
}

const ADDRESSING: ReadonlySet<string> = new Set(["A", "AAAA", "CNAME"]);

/**
 * A name has one CNAME or addresses, never both, and the engine makes what is new before it deletes what is old. So where a name goes from
 * the one to the other (a guard, another kind of edge, a site's host) what has it makes room: it gets a name where nobody asks, and keeps
 * its id, by which the engine deletes it at the end of the run. For about a second nothing has the name.
 */
export async function makeRoom(cloudflare: CloudApi, inputs: Inputs, mine: string): Promise<readonly MovedRecord[]> {
  const [name, type] = [String(inputs["name"]), String(inputs["type"])];
  if (!ADDRESSING.has(type)) return [];
  let there: readonly ZoneRecord[];
  try {
    there = await recordsAt(cloudflare, inputs);
  } catch (error) {
    void pulumi.log.debug(`looking for what has the name ${name} already: ${String(error)}`);
    return [];
  }
  const inTheWay = there.filter((one) =>
    // The very same one is what a lost answer left: that is cleared up when the create is refused.
    type === "CNAME" ? ADDRESSING.has(one.type) && one.content !== inputs["content"] : one.type === "CNAME",
  );
  const others = inTheWay.filter(({ comment }) => installationIn(comment) !== mine);
  if (others.length > 0)
    throw new Error(
      `${name} has ${others.map((one) => `${one.type} ${one.content}`).join(", ")}, which is not of this stack, and a name has either one CNAME or addresses. ` +
        "Delete it at Cloudflare, or name the host otherwise",
    );
  const moved: MovedRecord[] = [];
  for (const { id } of inTheWay) {
    const path = `${collectionOf(inputs)}/${id}`;
    await cloudflare.send("PATCH", path, { name: `trivet-leaving-${id.slice(0, 8)}.${name.replace(/^\*\./, "")}` });
    moved.push({ path, name });
  }
  return moved;
}

/** Where nobody has taken their place. */
export async function moveBack(cloudflare: CloudApi, moved: readonly MovedRecord[]): Promise<void> {
  for (const { path, name } of moved)
    try {
      await cloudflare.send("PATCH", path, { name });
    } catch (error) {
      void pulumi.log.error(
        `${name} has no record now, for its own could not get it back (${String(error)}). Do: pulumi refresh, pulumi up`,
      );
    }
}
