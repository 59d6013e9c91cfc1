import * as pulumi from "@pulumi/pulumi";
import { makePart, ownerOf, type PartArgs } from "../part";

/** vmagent, which reads every workload's metrics and sends them to where people look, with its token. */
export class Metrics extends pulumi.ComponentResource {
  readonly objects: readonly pulumi.CustomResource[];

  constructor(name: string, args: PartArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:metrics:Metrics", name, {}, opts);
    this.objects = makePart(this, args, (object) => ownerOf(args.platform, object) === "metrics");
    this.registerOutputs({});
  }
}
