import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode, Platform } from "../../model/platform";
import type { CloudOptions } from "../cloud-options";
import { recordComment } from "../lost-answers";
import { OriginCertificate } from "./origin-certificate";
import { makeRecords } from "./records";
import { makeRulesets } from "./rulesets";
import { makeSites } from "./sites";
import { makeZoneRecords } from "./zone-records";
import { makeZoneSettings } from "./zone-settings";
import { signZone } from "./zone-signing";

export interface EdgeArgs {
  platform: Platform;
  /** Public addresses of the nodes; those of the servers, where Traefik runs, are what the records name. */
  addresses: Readonly<Record<ClusterNode["name"], pulumi.Input<string>>>;
  /** The same, IPv6. @default none */
  addressesIpv6?: Readonly<Record<ClusterNode["name"], pulumi.Input<string>>>;
  /** The mark in the comment of every record and the description of every ruleset. */
  installation: pulumi.Input<string>;
  /** For what has a name that is unique at Cloudflare. */
  cloudOptions: CloudOptions;
  revokeTwins: pulumi.ResourceHook;
  /** Whether this run puts the zone's settings back, for a `pulumi destroy` that follows. */
  handedBack: boolean;
}

/** What Cloudflare does in front of the cluster: where names lead, TLS on both sides, the zone's own rules, and static sites. */
export class Edge extends pulumi.ComponentResource {
  /** Undefined where Cloudflare speaks plain HTTP to the servers. */
  readonly originCertificate: OriginCertificate | undefined;
  /** For the registrar, where the zone is signed. */
  readonly dsRecord: pulumi.Output<string> | undefined;

  constructor(name: string, args: EdgeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:edge:Edge", name, {}, opts);
    const { platform, addresses, addressesIpv6 = {}, installation, cloudOptions, revokeTwins, handedBack } = args;
    const { edge, domain } = platform;
    const { zone } = edge;
    const parent = { parent: this };
    const comment = pulumi.output(installation).apply(recordComment);
    const contents = { ipv4: addresses, ipv6: addressesIpv6, tunnels: {} };
    makeRecords(name, { platform, contents, comment, cloudOptions }, parent);
    makeZoneRecords(name, { zoneId: zone.id, records: edge.records, comment, cloudOptions }, parent);
    makeZoneSettings(name, { edge, handedBack }, parent);
    makeRulesets(name, { zone, comment, cloudOptions }, parent);
    makeSites(name, { edge, comment, cloudOptions }, this);
    this.dsRecord = signZone(name, zone, parent);
    this.originCertificate =
      edge.originCertificate &&
      new OriginCertificate(`${name}-origin`, { wanted: edge.originCertificate, domain, revokeTwins }, parent);
    this.registerOutputs({});
  }
}
