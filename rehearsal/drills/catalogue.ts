import { closest } from "../../model/closest";
import { rollAccess } from "./stories/access";
import { aAlone, bootFails, bootNever, bootOrder, clockSkew, wrongToken } from "./stories/boot";
import { certificate } from "./stories/certificate";
import { edgeChanges } from "./stories/changes";
import { byCommand } from "./stories/commands";
import { edgeDoctor, edgeDoctorTunnel } from "./stories/doctor";
import { edgeRefusals, edgeRoll, edgeRollTunnel, edgeRoutes, edgeRoutesFarm, edgeRoutesTunnel } from "./stories/edge";
import { emergency, emergencyTunnel } from "./stories/emergency";
import { gateRefuses } from "./stories/gate";
import { interruptedRoll } from "./stories/interruption";
import { ipv6 } from "./stories/ipv6";
import { loseA, loseAll, loseB, loseC, loseTwo, restore } from "./stories/loss";
import { rollK3s, rollKernel, rollType } from "./stories/roll";
import { destroyProtected, metadata, outOfStock, pool, singleNode } from "./stories/shape";
import { edgeDoctorTailnet, rollTailscale } from "./stories/tailnet";
import { connectorLoss, tunnelRotate } from "./stories/tunnel";
import type { Story } from "./story";

/** All drills, in the order in which they are listed and played. */
export const STORIES: readonly Story[] = [
  rollK3s,
  rollType,
  rollKernel,
  rollAccess,
  rollTailscale,
  ipv6,
  byCommand,
  gateRefuses,
  loseA,
  loseB,
  loseC,
  loseTwo,
  loseAll,
  restore,
  interruptedRoll,
  bootOrder,
  bootNever,
  bootFails,
  outOfStock,
  wrongToken,
  clockSkew,
  aAlone,
  singleNode,
  pool,
  destroyProtected,
  metadata,
  certificate,
  edgeRoutes,
  edgeRefusals,
  edgeDoctor,
  edgeRoll,
  edgeRoutesTunnel,
  edgeDoctorTunnel,
  edgeRollTunnel,
  tunnelRotate,
  connectorLoss,
  edgeRoutesFarm,
  edgeDoctorTailnet,
  edgeChanges,
  emergency,
  emergencyTunnel,
];

export class UnknownDrill extends Error {
  constructor(name: string) {
    const match = closest(
      name,
      STORIES.map((story) => story.name),
    );
    super(
      `There is no drill "${name}".${match === undefined ? "" : ` Did you mean "${match}"?`} ` +
        "`npm run rehearse -- --drill list` names them all; `--drill all` plays them all.",
    );
    this.name = "UnknownDrill";
  }
}

/** The stories of these names, each once; "all" stands for all of them. */
export function findStories(names: readonly string[]): Story[] {
  const found = names.flatMap((name) => {
    if (name === "all") return STORIES;
    const story = STORIES.find((one) => one.name === name);
    if (!story) throw new UnknownDrill(name);
    return story;
  });
  return [...new Set(found)];
}

export function listStories(): string {
  const width = Math.max(...STORIES.map(({ name }) => name.length));
  return STORIES.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}\n`).join("");
}
