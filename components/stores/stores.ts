import * as pulumi from "@pulumi/pulumi";
import { makePart, ownerOf, type PartArgs } from "../part";

/** Redis instances, each with a password of its own that exists nowhere but in the state and in the cluster. */
export class Stores extends pulumi.ComponentResource {
  readonly objects: readonly pulumi.CustomResource[];

  constructor(name: string, args: PartArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:stores:Stores", name, {}, opts);
    this.objects = makePart(this, args, (object) => ownerOf(args.platform, object) === "stores");
    this.registerOutputs({});
  }
}
