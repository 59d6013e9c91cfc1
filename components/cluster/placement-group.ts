import * as hcloud from "@pulumi/hcloud";
import type { Hetzner } from "./hetzner";

/** Keeps the three servers on three physical hosts: one broken host must not take the quorum. */
export const makePlacementGroup = (
  name: string,
  { platform, labels, options, parent }: Hetzner,
): hcloud.PlacementGroup =>
  new hcloud.PlacementGroup(name, { name: platform.name, type: "spread", labels }, options({ parent }));
