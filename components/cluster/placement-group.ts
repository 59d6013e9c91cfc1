import * as hcloud from "@pulumi/hcloud";
import type { PlacementGroup } from "../../model/platform";
import type { Hetzner } from "./hetzner";

/** Keeps its servers on different physical hosts: one broken host must not take the quorum, nor a whole pool. */
export const makePlacementGroup = (
  name: string,
  group: PlacementGroup,
  { labels, options, parent }: Hetzner,
): hcloud.PlacementGroup =>
  new hcloud.PlacementGroup(name, { name: group.cloudName, type: "spread", labels }, options({ parent }));
