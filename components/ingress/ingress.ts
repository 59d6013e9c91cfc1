import * as pulumi from "@pulumi/pulumi";
import { makePart, ownerOf, type PartArgs } from "../part";

/** Traefik on every node, its middlewares, the certificate it shows to Cloudflare, and the routes. */
export class Ingress extends pulumi.ComponentResource {
  readonly objects: readonly pulumi.CustomResource[];

  constructor(name: string, args: PartArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:ingress:Ingress", name, {}, opts);
    this.objects = makePart(this, args, (object) => ownerOf(args.platform, object) === "ingress");
    this.registerOutputs({});
  }
}
