import * as pulumi from "@pulumi/pulumi";
import type { Platform } from "../../model/platform";

/** What every resource at Hetzner is made with. */
export interface Hetzner {
  readonly platform: Platform;
  readonly parent: pulumi.Resource;
  /** `cluster` and `installation`; what carries both was made by this state (see ../lost-answers.ts). */
  readonly labels: Readonly<Record<string, pulumi.Input<string>>>;
  /**
   * Adds what all of them need: `deleteBeforeReplace`, because names are explicit and unique and most types never ask for it
   * themselves, and the hook that clears up after a create whose answer was lost.
   */
  readonly options: (own: pulumi.CustomResourceOptions) => pulumi.CustomResourceOptions;
}
