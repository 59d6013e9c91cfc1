import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { ZoneRecord } from "../../model/platform";
import type { CloudOptions } from "../cloud-options";
import { settingsOf } from "./records";

/** DNS carries a text as strings of at most 255 bytes (RFC 1035). */
const LONGEST_STRING = 255;

/** The form in which the API keeps a record's content: any other comes back changed, and is changed back by every `up`. */
export type RecordContent = Pick<cloudflare.DnsRecordArgs, "content" | "data" | "priority">;

export function recordContent({
  type,
  content,
  priority,
}: Pick<ZoneRecord, "type" | "content" | "priority">): RecordContent {
  switch (type) {
    case "TXT":
      return { content: strings(content).map(quoted).join(" ") };
    case "CAA": {
      const [flags = "0", tag = "issue", ...value] = content.split(" ");
      return { data: { flags, tag, value: value.join(" ").replace(/^"(.*)"$/, "$1") } };
    }
    case "SRV": {
      const [srvPriority, weight, port, target] = content.split(" ");
      return {
        priority: Number(srvPriority), // the API tells it twice
        data: { priority: Number(srvPriority), weight: Number(weight), port: Number(port), target: target! },
      };
    }
    case "MX":
      return { content, priority: priority ?? 0 };
    default:
      return { content };
  }
}

function strings(text: string): string[] {
  const parts = [""];
  for (const character of text) {
    const longer = parts.at(-1)! + character;
    if (Buffer.byteLength(longer) > LONGEST_STRING) parts.push(character);
    else parts[parts.length - 1] = longer;
  }
  return parts;
}

const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;

export interface ZoneRecordsArgs {
  zoneId: string;
  records: readonly ZoneRecord[];
  comment: pulumi.Input<string>;
  cloudOptions: CloudOptions;
}

/** What stands in the zone beside hosts: mail, CAA, and whatever is declared. Never proxied. */
export const makeZoneRecords = (
  name: string,
  { zoneId, records, comment, cloudOptions }: ZoneRecordsArgs,
  opts: pulumi.CustomResourceOptions,
): readonly cloudflare.DnsRecord[] =>
  records.map(
    (record) =>
      new cloudflare.DnsRecord(
        `${name}-record-${record.key}`,
        {
          zoneId,
          name: record.fqdn,
          type: record.type,
          ...recordContent(record),
          proxied: false,
          ttl: record.ttlSeconds,
          comment,
          ...settingsOf(record.type),
        },
        cloudOptions(opts),
      ),
  );
