import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode, Platform } from "../../model/platform";
import type { CloudOptions } from "../cloud-options";
import { recordComment } from "../lost-answers";
import { dnsRecordName, makeDnsRecord } from "./dns-records";
import { OriginCertificate } from "./origin-certificate";
import { makeZoneSettings } from "./zone-settings";

export interface EdgeArgs {
  platform: Platform;
  /** Public addresses of the nodes; those of the servers, where Traefik runs, are what the records name. */
  addresses: Readonly<Record<ClusterNode["name"], pulumi.Input<string>>>;
  /** The mark in the comment of every record. */
  installation: pulumi.Input<string>;
  /** For every record. */
  cloudOptions: CloudOptions;
  revokeTwins: pulumi.ResourceHook;
  /** Whether this run puts the zone's settings back, for a `pulumi destroy` that follows. */
  handedBack: boolean;
}

/** What Cloudflare does in front of the cluster: proxied records to the servers' addresses, TLS on both sides. */
export class Edge extends pulumi.ComponentResource {
  /** Undefined where Cloudflare speaks plain HTTP to the servers. */
  readonly originCertificate: OriginCertificate | undefined;

  constructor(name: string, args: EdgeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:edge:Edge", name, {}, opts);
    const { platform, addresses, installation, cloudOptions, revokeTwins, handedBack } = args;
    const { edge, cluster, domain } = platform;
    const comment = pulumi.output(installation).apply(recordComment);
    for (const host of edge.hosts) {
      for (const node of cluster.servers) {
        makeDnsRecord(
          dnsRecordName(name, host, node.name),
          { host, zoneId: edge.zone.id, address: addresses[node.name]!, comment },
          cloudOptions({ parent: this }),
        );
      }
    }
    makeZoneSettings(name, { edge, handedBack }, { parent: this });
    this.originCertificate =
      edge.originCertificate &&
      new OriginCertificate(
        `${name}-origin`,
        { wanted: edge.originCertificate, domain, revokeTwins },
        { parent: this },
      );
    this.registerOutputs({});
  }
}
