import type * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Manifest } from "../charts";
import { makeObjects } from "../manifests";

export interface PoliciesArgs {
  /** Namespaces with their quotas, priorities, and every NetworkPolicy. */
  manifests: readonly Manifest[];
  provider: kubernetes.Provider;
}

/**
 * What is allowed, made before anything that could do what is not: namespaces with their Pod Security labels, and the
 * NetworkPolicies. No pod ever runs without them, and they go last.
 */
export class Policies extends pulumi.ComponentResource {
  readonly objects: readonly pulumi.CustomResource[];

  constructor(name: string, args: PoliciesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:policies:Policies", name, {}, opts);
    const { manifests, provider } = args;
    this.objects = makeObjects(this, { manifests, provider, after: [], secretVersion: () => undefined });
    this.registerOutputs({});
  }
}
