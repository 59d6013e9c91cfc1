import * as pulumi from "@pulumi/pulumi";
import { makePart, ownerOf, type PartArgs } from "../part";

/** The applications: services and workers, with the secrets they read and the login to their registry. */
export class Workloads extends pulumi.ComponentResource {
  readonly objects: readonly pulumi.CustomResource[];

  constructor(name: string, args: PartArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:workloads:Workloads", name, {}, opts);
    this.objects = makePart(this, args, (object) => ownerOf(args.platform, object) === "workloads");
    this.registerOutputs({});
  }
}
