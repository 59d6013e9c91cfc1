import * as pulumi from "@pulumi/pulumi";
import { makePart, ownerOf, type PartArgs } from "../part";

/** cloudflared, which carries the tunnels: users' and operators' apart, each with a token of its own. */
export class Connectors extends pulumi.ComponentResource {
  readonly objects: readonly pulumi.CustomResource[];

  constructor(name: string, args: PartArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:connectors:Connectors", name, {}, opts);
    this.objects = makePart(this, args, (object) => ownerOf(args.platform, object) === "connectors");
    this.registerOutputs({});
  }
}
