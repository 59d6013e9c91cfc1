import { UNKNOWN } from "../../protocol/provider";
import type { ResourceType } from "../resource-type";
import { any, flag, json, number, object, set, text } from "../schema";
import { isArray, isObject, type ObjectValue, same, type Value } from "../values";

const byte = number({ between: [0, 255] });
const port = number({ between: [0, 65535] });

const data = object(
  {
    algorithm: byte,
    altitude: number({ between: [-100000, 42849672.95] }),
    certificate: text(),
    digest: text(),
    digestType: byte,
    fingerprint: text(),
    flags: any(),
    keyTag: port,
    latDegrees: number({ between: [0, 90] }),
    latDirection: text({ oneOf: ["N", "S"] }),
    latMinutes: number({ between: [0, 59] }),
    latSeconds: number({ between: [0, 59.999] }),
    longDegrees: number({ between: [0, 180] }),
    longDirection: text({ oneOf: ["E", "W"] }),
    longMinutes: number({ between: [0, 59] }),
    longSeconds: number({ between: [0, 59.999] }),
    matchingType: byte,
    order: port,
    port,
    precisionHorz: number({ between: [0, 90000000] }),
    precisionVert: number({ between: [0, 90000000] }),
    preference: port,
    priority: port,
    protocol: byte,
    publicKey: text(),
    regex: text(),
    replacement: text(),
    selector: byte,
    service: text(),
    size: number({ between: [0, 90000000] }),
    tag: text(),
    target: text(),
    type: number({ between: [0, 65535] }),
    usage: byte,
    value: text(),
    weight: port,
  },
  { conflictsWith: ["content"] },
);

const setting = flag({ computed: true, optional: true });

export const dnsRecord: ResourceType = {
  token: "cloudflare:index/dnsRecord:DnsRecord",
  attributes: {
    id: text({ computed: true, keeps: true }),
    zoneId: text({ apiName: false, replaces: true }),
    comment: text(),
    commentModifiedOn: text({ computed: true }),
    content: text({ computed: true, optional: true, conflictsWith: ["data"] }),
    createdOn: text({ computed: true }),
    data,
    // A question to the API, not a part of the record: it fills `meta`.
    includeShadowMetadata: flag({ apiName: false }),
    meta: json({ computed: true }),
    modifiedOn: text({ computed: true }),
    name: text({ required: true }),
    priority: port,
    privateRouting: flag(),
    proxiable: flag({ computed: true }),
    proxied: flag({ computed: true, optional: true, default: false }),
    settings: object(
      {
        flattenCname: setting,
        ipv4Only: { ...setting, terraformName: "ipv4_only" },
        ipv6Only: { ...setting, terraformName: "ipv6_only" },
      },
      { computed: true, optional: true },
    ),
    tags: set(text(), { computed: true, optional: true }),
    tagsModifiedOn: text({ computed: true }),
    ttl: number({ required: true }),
    type: text({
      required: true,
      replaces: true,
      oneOf: ["A", "AAAA", "CNAME", "MX", "NS", "OPENPGPKEY", "PTR", "TXT", "CAA", "CERT", "DNSKEY", "DS", "HTTPS", "LOC", "NAPTR", "SMIMEA", "SRV", "SSHFP", "SVCB", "TLSA", "URI"], // prettier-ignore
    }),
  },
  create: { method: "POST", path: "/zones/{zoneId}/dns_records" },
  read: { method: "GET", path: "/zones/{zoneId}/dns_records/{id}" },
  update: { method: "PUT", path: "/zones/{zoneId}/dns_records/{id}" },
  delete: { method: "DELETE", path: "/zones/{zoneId}/dns_records/{id}" },
  importId: ["zoneId", "id"],
  modifyPlan,
};

const isEmpty = (value: Value | undefined): boolean =>
  value === null || value === undefined || (isArray(value) && value.length === 0);
const settingsOf = (value: Value | undefined): Value[] => (isObject(value) ? Object.values(value) : []);
const isUnset = (value: Value | undefined): boolean =>
  settingsOf(value).every((each) => each === null || each === UNKNOWN);

/**
 * What the real provider does beyond its schema, so that a record does not change by itself: a name without its zone is the same name, times of change
 * stand still while nothing changes, empty tags and settings are none.
 */
function modifyPlan(planned: Record<string, Value>, state: ObjectValue | undefined): void {
  if (state !== undefined) {
    const name = planned["name"];
    const before = state["name"];
    if (typeof name === "string" && typeof before === "string") {
      const [short, long] = [name.replace(/\.$/, ""), before.replace(/\.$/, "")];
      if ((name === "@" && before.includes(".")) || (short !== long && long.startsWith(`${short}.`)))
        planned["name"] = before;
    }
    const [content, contentBefore] = [planned["content"], state["content"]];
    if (
      planned["type"] === "CNAME" &&
      typeof content === "string" &&
      typeof contentBefore === "string" &&
      content.toLowerCase() === contentBefore.toLowerCase()
    )
      planned["content"] = contentBefore;

    keep(planned, state, ["createdOn", "proxiable", "meta"]);
    if (!hasChanged(planned, state)) keep(planned, state, ["modifiedOn"]);
    if (planned["settings"] === UNKNOWN || planned["settings"] === null)
      planned["settings"] = state["settings"] ?? null;
    else if (isUnset(planned["settings"]) && !settingsOf(state["settings"]).includes(true))
      planned["settings"] = state["settings"] ?? null;
    if (isEmpty(state["tags"])) keep(planned, state, ["tags"]);
  }
  stampOf(planned, state, "commentModifiedOn", "comment", planned["comment"] === null || planned["comment"] === "");
  stampOf(planned, state, "tagsModifiedOn", "tags", isEmpty(planned["tags"]));
  if (planned["type"] === "CNAME" && planned["settings"] !== UNKNOWN) {
    const settings = isObject(planned["settings"]) ? planned["settings"] : {};
    planned["settings"] = Object.fromEntries(
      ["flattenCname", "ipv4Only", "ipv6Only"].map((key) => [
        key,
        typeof settings[key] === "boolean" ? settings[key] : false,
      ]),
    );
  }
}

function keep(planned: Record<string, Value>, state: ObjectValue, names: readonly string[]): void {
  for (const name of names) if (planned[name] === UNKNOWN) planned[name] = state[name] ?? null;
}

function hasChanged(planned: ObjectValue, state: ObjectValue): boolean {
  if (
    ["name", "type", "ttl", "proxied", "priority", "comment", "data"].some((name) => !same(planned[name], state[name]))
  )
    return true;
  if (isEmpty(planned["data"]) && !same(planned["content"], state["content"])) return true;
  const tags = planned["tags"];
  if (
    tags === UNKNOWN
      ? !isEmpty(state["tags"])
      : !(isEmpty(tags) && isEmpty(state["tags"])) && !same(tags, state["tags"])
  )
    return true;
  if (isUnset(planned["settings"])) return settingsOf(state["settings"]).includes(true);
  return !same(planned["settings"], state["settings"]);
}

/** The time of change of a part: none where the part is empty, the old one while the part stays. */
function stampOf(
  planned: Record<string, Value>,
  state: ObjectValue | undefined,
  stamp: string,
  part: string,
  empty: boolean,
): void {
  if (planned[stamp] !== UNKNOWN) return;
  if (empty) planned[stamp] = null;
  else if (state !== undefined && planned[part] !== UNKNOWN && same(planned[part], state[part]))
    planned[stamp] = state[stamp] ?? null;
}
