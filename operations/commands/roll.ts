import type { Platform } from "../../model/platform";
import { carryOut, type Change, type Surroundings } from "../change";
import type { StackState } from "../state";

/** `trivet roll`: every node onto the newest image, one at a time. */
export async function roll(surroundings: Surroundings): Promise<number> {
  const { stack } = surroundings;
  const [platform, state] = await Promise.all([stack.platform(), stack.state()]);
  return carryOut(surroundings, rolling(platform, state));
}

/** Pure. A roll that was interrupted is carried on: nodes that have had their turn are not rolled twice. */
export function rolling({ cluster: { nodes, image } }: Platform, state: StackState): Change {
  const applied = new Map(state.servers.map(({ node, revision }) => [node, revision]));
  const left = nodes.filter(({ name, revision }) => (applied.get(name) ?? revision) < revision);
  const names = (left.length > 0 ? left : nodes).map(({ name }) => name).join(", ");
  return {
    plan: [
      left.length > 0
        ? `A roll was interrupted; these nodes are left: ${names}. Carrying on.`
        : `Every node (${names}) gets the newest ${image} and boots anew, with the security updates in it.`,
      "  One at a time, each behind the gate: drained, out of etcd, new image, back as a voter; addresses stay.",
      "  The API and applications with more than one replica stay available.",
    ],
    settings:
      left.length > 0
        ? {}
        : Object.fromEntries(nodes.map(({ name, revision }) => [`revisions["${name}"]`, revision + 1])),
    question: `Roll ${left.length > 0 ? "the nodes that are left" : `all ${nodes.length} nodes`}?`,
    carryOn: "Nodes that had their turn stay as they are; trivet roll carries on with the others.",
  };
}
