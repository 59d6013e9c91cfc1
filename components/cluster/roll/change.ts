import { k3sStep } from "../../../model/k3s-step";
import type { Architecture } from "../../../model/platform";
import { SERVER_TYPES } from "../../../model/server-types";
import { INCARNATION_LABEL } from "./incarnation";

/** What an update of a server's resource means for the node that it is. */
export interface Change {
  /** The new user-data or image has to reach the disk. */
  readonly rebuild: boolean;
  readonly resize: { readonly from: string; readonly to: string } | undefined;
  /** Its public addresses become others. The provider powers the server off for that, whether they differ at Hetzner or not. */
  readonly readdress: boolean;
  readonly gainsIpv6: boolean;
  readonly losesIpv6: boolean;
  readonly generation: { readonly from: number; readonly to: number } | undefined;
  /** Snapshot that the cluster is to begin with. */
  readonly restore: string | undefined;
  /** What cannot be done to a server while it stays the same server. */
  readonly impossible: readonly string[];
  /** Why K3s may not be taken from the old version, or the old settings, to the new ones. */
  readonly forbiddenStep: string | undefined;
  /** For people: what the definition changed in, old and new. */
  readonly reasons: readonly string[];
}

type Inputs = Readonly<Record<string, unknown>> | undefined;

/** Labels that say whose and which server it is. Every other one is an aspect of the definition. */
const OWN_LABELS: ReadonlySet<string> = new Set([
  "cluster",
  "installation",
  "node",
  "role",
  "pool",
  "generation",
  "definition",
  "restore",
  "location",
  INCARNATION_LABEL,
]);

/** The aspect whose value is K3s' version, with the plus sign that a label may not have as an underscore. */
const K3S_LABEL = "k3s";

/** The aspect of what all servers must agree on: one that comes back with other values is turned away by those that have the old. */
const CRITICAL_LABEL = "critical";

const CRITICAL_PROBLEM =
  "K3s wants some settings equal on all servers (ranges of pods and services, DNS, flannel, encryption of Secrets), and a server " +
  "made anew with others could not join those that still have the old ones. Undo the change, or raise the generation and run " +
  "`trivet rebuild`";

const stepProblem = (from: string, to: string): string | undefined => {
  const step = k3sStep(from.replace("_", "+"), to.replace("_", "+"));
  return step.allowed ? undefined : step.reason;
};

/**
 * Compares the old and the new inputs of a server. A label that was missing says nothing: somebody removed it, and it is
 * written again.
 */
export function changeOf(oldInputs: Inputs, newInputs: Inputs): Change {
  const before = labelsIn(oldInputs);
  const after = labelsIn(newInputs);
  const differs = (label: string): boolean =>
    before[label] !== undefined && after[label] !== undefined && before[label] !== after[label];
  const types = { from: text(oldInputs?.["serverType"]), to: text(newInputs?.["serverType"]) };
  const resized = types.from !== undefined && types.to !== undefined && types.from !== types.to;
  const architectures = resized ? [types.from, types.to].map((type) => architectureOf(type!)) : [];
  // A type that is no longer sold is unknown here; Hetzner itself refuses the change if it has to.
  const rearchitected =
    architectures[0] !== undefined && architectures[1] !== undefined && architectures[0] !== architectures[1];
  const restore = after["restore"];
  const addresses = addressChanges(oldInputs, newInputs);

  const aspects = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((label) => !OWN_LABELS.has(label) && before[label] !== after[label] && before["definition"] !== undefined)
    .sort();
  const reasons = [
    ...(differs("generation") ? [`generation ${before["generation"]} -> ${after["generation"]}`] : []),
    ...(restore !== undefined && restore !== before["restore"] ? [`restore ${restore}`] : []),
    ...(resized ? [`server type ${types.from} -> ${types.to}`] : []),
    ...(differs("location") ? [`location ${before["location"]} -> ${after["location"]}`] : []),
    ...addresses,
    ...(differs("definition")
      ? aspects.map((label) => `${label} ${before[label] ?? "none"} -> ${after[label] ?? "none"}`)
      : []),
  ];
  return {
    rebuild: differs("definition"),
    resize: resized && !rearchitected ? { from: types.from!, to: types.to! } : undefined,
    readdress: addresses.length > 0,
    gainsIpv6: addresses.includes(GAINS_IPV6),
    losesIpv6: addresses.includes(LOSES_IPV6),
    generation: differs("generation")
      ? { from: Number(before["generation"]), to: Number(after["generation"]) }
      : undefined,
    restore: restore !== undefined && restore !== before["restore"] ? restore : undefined,
    impossible: [
      ...(rearchitected ? [`from ${architectures[0]} (${types.from}) to ${architectures[1]} (${types.to})`] : []),
      ...(differs("location") ? [`from ${before["location"]} to ${after["location"]}`] : []),
    ],
    forbiddenStep: differs("generation")
      ? undefined
      : differs(CRITICAL_LABEL)
        ? CRITICAL_PROBLEM
        : differs(K3S_LABEL)
          ? stepProblem(before[K3S_LABEL]!, after[K3S_LABEL]!)
          : undefined,
    reasons: reasons.length === 0 && differs("definition") ? ["definition"] : reasons,
  };
}

export const touchesNode = ({ rebuild, resize, readdress, generation, restore, impossible }: Change): boolean =>
  rebuild ||
  resize !== undefined ||
  readdress ||
  generation !== undefined ||
  restore !== undefined ||
  impossible.length > 0;

const GAINS_IPV6 = "IPv6 off -> on";
const LOSES_IPV6 = "IPv6 on -> off";

/** `IPv6 off -> on`, or that an address becomes another one. In a preview one that is yet to be made has no id: it is another one. */
function addressChanges(oldInputs: Inputs, newInputs: Inputs): string[] {
  const [before, after] = [publicNet(oldInputs), publicNet(newInputs)];
  if (before === undefined || after === undefined) return [];
  return (["ipv4", "ipv6"] as const).flatMap((family) => {
    const name = family === "ipv4" ? "IPv4" : "IPv6";
    const [was, is] = [before[`${family}Enabled`] === true, after[`${family}Enabled`] === true];
    if (was !== is) return [`${name} ${was ? "on -> off" : "off -> on"}`];
    return is && before[family] !== after[family] ? [`another ${name} address`] : [];
  });
}

function publicNet(inputs: Inputs): Readonly<Record<string, unknown>> | undefined {
  const blocks = inputs?.["publicNets"];
  const block: unknown = Array.isArray(blocks) ? blocks[0] : undefined;
  return typeof block === "object" && block !== null ? (block as Record<string, unknown>) : undefined;
}

/** In a preview a label may not be known yet; then it is no text. */
const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

function labelsIn(inputs: Inputs): Readonly<Record<string, string | undefined>> {
  const labels = inputs?.["labels"];
  if (typeof labels !== "object" || labels === null) return {};
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, text(value)]));
}

const architectureOf = (serverType: string): Architecture | undefined => SERVER_TYPES[serverType]?.architecture;
