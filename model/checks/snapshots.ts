import { parseAddress } from "../cidr";
import { isHost } from "../host";
import type { Problem } from "../problem";
import { pathOf, textOf } from "../settings";
import { type Check, type Draft, isWholeNumber, suggest } from "./draft";
import type { Sourced } from "./nodes";

/** Hours of history and no end are both wrong: every copy is listed at each run. */
const MOST_KEPT = 1000;

/** A server's label carries it (63 characters at Hetzner), and K3s takes it for the name of an object in the folder. */
const SNAPSHOT_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

export const checkSnapshots: Check = (draft) => {
  const { definition, settings, raw } = draft;
  const defined = definition.cluster.snapshots;
  const own = settings.snapshots ?? {};
  if (defined === undefined)
    return Object.keys(own).map((key): Problem => ({
      code: "SN006",
      path: `trivet:snapshots.${key}`,
      reason: "the definition has no cluster.snapshots",
      action: "define them there, with the names of their secrets",
    }));
  /** Undefined where the stack lacks it, which is told elsewhere. */
  const valueOf = (key: "endpoint" | "region" | "bucket" | "folder"): Sourced<string> | undefined => {
    if (own[key] !== undefined) return { value: own[key], path: `trivet:snapshots.${key}` };
    const value = defined[key];
    if (value === undefined) return undefined;
    const text = textOf(value, raw);
    return text === undefined ? undefined : { value: text, path: pathOf(value, `cluster.snapshots.${key}`) };
  };
  const endpoint = valueOf("endpoint");
  return [
    ...endpointProblems(endpoint),
    ...bucketProblems(valueOf("bucket")),
    ...partProblems(valueOf("region"), /^[a-z0-9-]{1,40}$/, "a region as the provider writes it, e.g. eu-central-1"),
    ...partProblems(
      valueOf("folder"),
      /^[A-Za-z0-9][A-Za-z0-9_-]*(\/[A-Za-z0-9][A-Za-z0-9_-]*)*$/,
      "letters, digits, - and _, perhaps several parts with / between them",
    ),
    ...scheduleProblems(
      own.schedule === undefined
        ? { value: defined.schedule, path: "cluster.snapshots.schedule" }
        : { value: own.schedule, path: "trivet:snapshots.schedule" },
    ),
    ...keepProblems(
      own.keep === undefined
        ? { value: defined.keep, path: "cluster.snapshots.keep" }
        : { value: own.keep, path: "trivet:snapshots.keep" },
    ),
    ...clearTextProblems(draft, endpoint),
  ];
};

const endpointProblems = (endpoint: Sourced<string> | undefined): Problem[] => {
  if (endpoint === undefined || isHost(endpoint.value)) return [];
  const { value, path } = endpoint;
  const bare = value.replace(/^[a-z0-9+.-]+:\/\//i, "").replace(/\/.*$/, "");
  return [
    {
      code: "SN001",
      path,
      got: value,
      allowed: "a host name, with :port if it is not 443, without scheme and path",
      ...suggest(isHost(bare) ? bare : undefined),
    },
  ];
};

/** What every S3 provider takes: AWS's rules for new buckets. */
const bucketProblems = (bucket: Sourced<string> | undefined): Problem[] => {
  if (bucket === undefined) return [];
  const { value, path } = bucket;
  const isBucket = (name: string): boolean =>
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes("..") && parseAddress(name) === undefined;
  const lower = value.toLowerCase().replaceAll("_", "-");
  return isBucket(value)
    ? []
    : [
        {
          code: "SN002",
          path,
          got: value,
          allowed: "3 to 63 of a-z, 0-9, - and ., beginning and ending with a letter or digit; no address",
          ...suggest(lower !== value && isBucket(lower) ? lower : undefined),
        },
      ];
};

const partProblems = (part: Sourced<string> | undefined, rule: RegExp, allowed: string): Problem[] =>
  part === undefined || rule.test(part.value) ? [] : [{ code: "SN002", path: part.path, got: part.value, allowed }];

/** From, to, and the names that a field takes, of minute, hour, day of month, month and day of week. */
const CRON_FIELDS: readonly (readonly [string, number, number, readonly string[]])[] = [
  ["minute", 0, 59, []],
  ["hour", 0, 23, []],
  ["day of month", 1, 31, []],
  ["month", 1, 12, ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]],
  ["day of week", 0, 6, ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]],
];

/** The five fields that every cron knows; K3s' own reader takes no seconds and no L, W or #. */
const scheduleProblems = ({ value, path }: Sourced<unknown>): Problem[] => {
  if (value === undefined) return [];
  const wrong = (reason: string): Problem[] => [
    {
      code: "SN003",
      path,
      got: value,
      reason,
      allowed: "a cron line of five fields in UTC, e.g. 0 * * * * for every hour",
    },
  ];
  const fields = typeof value === "string" ? value.split(" ") : [];
  if (fields.length !== CRON_FIELDS.length) return wrong(`it has ${fields.length} fields`);
  for (const [index, [name, from, to, names]] of CRON_FIELDS.entries()) {
    const numberOf = (text: string): number => {
      const place = names.indexOf(text.toLowerCase());
      return place >= 0 ? place + from : /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
    };
    const isPart = (part: string): boolean => {
      const [range = "", step, ...more] = part.split("/");
      if (more.length > 0 || (step !== undefined && !/^[1-9]\d?$/.test(step))) return false;
      if (range === "*") return true;
      const [first = Number.NaN, last = first, ...others] = range.split("-").map(numberOf);
      return others.length === 0 && first >= from && last <= to && first <= last;
    };
    if (!fields[index]!.split(",").every(isPart)) return wrong(`${JSON.stringify(fields[index])} is no ${name}`);
  }
  return [];
};

const keepProblems = ({ value, path }: Sourced<unknown>): Problem[] =>
  value === undefined || isWholeNumber(value, 1, MOST_KEPT)
    ? []
    : [{ code: "SN004", path, got: value, allowed: `a whole number from 1 to ${MOST_KEPT}` }];

/** Ranges that no packet leaves for: this machine, private networks, and those kept for documentation. */
const NEVER_INTERNET = ["loopback", "private", "reserved"];

/** An emulator may do without TLS; nothing that crosses the internet from production. */
const clearTextProblems = ({ settings }: Draft, endpoint: Sourced<string> | undefined): Problem[] => {
  if (settings.snapshots?.insecure !== true || settings.environment !== "production") return [];
  const range = endpoint === undefined ? undefined : parseAddress(endpoint.value.replace(/:\d+$/, ""))?.range();
  if (endpoint === undefined || (range !== undefined && NEVER_INTERNET.includes(range))) return [];
  return [
    {
      code: "SN005",
      path: "trivet:snapshots.insecure",
      got: true,
      reason: `everything the cluster knows would cross the internet to ${endpoint.value} in clear`,
      allowed: ["false"],
      action: "take it away, or set trivet:environment to staging",
    },
  ];
};

export const checkRestore: Check = ({ definition, settings: { restore } }) => {
  if (restore === undefined) return [];
  const path = "trivet:restore";
  return [
    ...(definition.cluster.snapshots === undefined
      ? [
          {
            code: "RS001",
            path,
            got: restore,
            reason: "the definition has no cluster.snapshots, so there is no bucket to read it from",
            action: "define cluster.snapshots, or take the setting away: pulumi config rm restore",
          } as const,
        ]
      : []),
    ...(SNAPSHOT_NAME.test(restore)
      ? []
      : [
          {
            code: "RS002",
            path,
            got: restore,
            allowed: "the name of an object in the snapshots' folder, e.g. etcd-snapshot-honeydue-a-1790000000",
            ...suggest(SNAPSHOT_NAME.test(restore.replace(/^.*\//, "")) ? restore.replace(/^.*\//, "") : undefined),
          } as const,
        ]),
  ];
};
