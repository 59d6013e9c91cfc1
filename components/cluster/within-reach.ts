import * as pulumi from "@pulumi/pulumi";
import type { Platform } from "../../model/platform";
import { apiTailnet } from "../../model/tailnet";
import { stop } from "./roll/stop";
import { outsideOfTailnet } from "./tailnet-doors";

/**
 * The installation's mark, handed on only when this computer is where the Kubernetes API can be reached from, as far as that can be known
 * beforehand: a run that would find no way to what it makes is refused before it makes it. A preview only says so, as it may be a
 * job's that is to see no more than the state.
 */
export function withinReach(platform: Platform, installation: pulumi.Output<string>): pulumi.Output<string> {
  if (apiTailnet(platform) === undefined) return installation;
  return installation.apply(async (mark) => {
    const problem = await outsideOfTailnet(platform);
    if (problem === undefined) return mark;
    if (!pulumi.runtime.isDryRun()) return stop(problem);
    await pulumi.log.warn(problem);
    return mark;
  });
}
