import { carryOut, type Change, type Surroundings } from "../change";
import type { Platform } from "../../model/platform";
import { nodeOf } from "../stack";
import type { StackState } from "../state";

export interface ReplaceOptions {
  /** A new server instead of a new image on the old one. */
  readonly newServer?: boolean;
}

/** `trivet replace <node>`: makes one node anew, behind the gate. */
export async function replace(surroundings: Surroundings, name: string, options: ReplaceOptions): Promise<number> {
  const { stack } = surroundings;
  const platform = await stack.platform();
  const node = nodeOf(platform, name);
  return carryOut(surroundings, replacement(platform, node, await stack.state(), options));
}

type Node = Platform["cluster"]["nodes"][number];

/** Pure: what to do about this node. */
export function replacement(platform: Platform, node: Node, state: StackState, { newServer }: ReplaceOptions): Change {
  const { name, hostname, revision } = node;
  const server = state.servers.find((one) => one.node === name);
  const lone = platform.cluster.servers.length === 1 && node.role === "server";
  const warnings = lone
    ? ["It is the only server: the cluster is away meanwhile, and what is not in a snapshot or outside is lost."]
    : [];
  const common = {
    refresh: server === undefined ? [] : [server.urn],
    carryOn: `Run it again, or pulumi up: the node is taken up where it was left.`,
  };
  if (newServer) {
    return {
      ...common,
      plan: [
        `Node ${name} (${hostname}) gets a new server:`,
        "  it passes the gate, is drained and leaves etcd; its server is deleted and another one made in its place;",
        "  it boots by itself, joins, and the run ends when it serves. Its private address stays.",
        "  Whatever else is pending in the settings is done in the same run; the preview shows it.",
        ...warnings,
      ],
      settings: {},
      environment: { TRIVET_REPLACE: name },
      question: `Give ${name} a new server?`,
    };
  }
  const interrupted = server !== undefined && server.revision < revision;
  return {
    ...common,
    plan: [
      interrupted
        ? `Node ${name} (${hostname}): revision ${revision} was asked for and is not applied yet: carrying on.`
        : `Node ${name} (${hostname}) is made anew, as revision ${revision + 1}:`,
      "  if its server still exists: it passes the gate, is drained and leaves etcd; the server gets a new image and keeps its addresses;",
      "  if its server is gone: a new one is made, with the same addresses;",
      "  it boots by itself, joins, and the run ends when it serves. No other node is touched.",
      ...warnings,
    ],
    settings: interrupted ? {} : { [`revisions["${name}"]`]: revision + 1 },
    arguments: ["--target", server?.urn ?? `**hcloud:index/server:Server::${hostname}`],
    question: `Make ${name} anew?`,
  };
}
