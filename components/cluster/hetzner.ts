import type * as pulumi from "@pulumi/pulumi";
import type { Platform } from "../../model/platform";
import type { CloudApi } from "../cloud-api";
import type { CloudOptions } from "../cloud-options";

/** What every resource at Hetzner is made with. */
export interface Hetzner {
  readonly platform: Platform;
  readonly parent: pulumi.Resource;
  /** `cluster` and `installation`; what carries both was made by this state (see ../installation.ts). */
  readonly labels: Readonly<Record<string, pulumi.Input<string>>>;
  readonly options: CloudOptions;
  /** For what no provider resource does. */
  readonly api: pulumi.Input<CloudApi>;
}
