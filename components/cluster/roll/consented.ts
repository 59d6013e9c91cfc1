import * as pulumi from "@pulumi/pulumi";
import type { Platform } from "../../../model/platform";
import type { CloudApi } from "../../cloud-api";
import { systemClock } from "./clock";
import { checkConsent, readConsent } from "./consent";
import { HetznerServers } from "./hetzner-servers";
import { timeLimits } from "./limits";
import { stop } from "./stop";

export interface ConsentedArgs {
  readonly platform: Platform;
  readonly hetzner: pulumi.Input<CloudApi>;
}

/**
 * The installation's mark, handed on only when this run may do what the settings say. In a preview at once: it asks no cloud,
 * and the servers' hooks warn.
 */
export function consented(
  installation: pulumi.Output<string>,
  { platform: { cluster }, hetzner }: ConsentedArgs,
): pulumi.Output<string> {
  if (pulumi.runtime.isDryRun()) return installation;
  return pulumi.unsecret(
    pulumi.all([installation, hetzner]).apply(async ([mark, api]) => {
      const cloud = new HetznerServers(api, systemClock, timeLimits());
      try {
        await checkConsent(cluster, readConsent(), cloud, mark);
      } catch (error) {
        return stop((error as Error).message);
      }
      return mark;
    }),
  );
}
