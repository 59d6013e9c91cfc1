import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode, Host } from "../../model/platform";

/**
 * One record a host and node. Cloudflare picks one for each connection and tries another when it does not answer, so a lost
 * node costs a retry, no request.
 */
export const makeDnsRecord = (
  name: string,
  {
    host,
    zoneId,
    address,
    comment,
  }: { host: Host; zoneId: string; address: pulumi.Input<string>; comment: pulumi.Input<string> },
  opts: pulumi.CustomResourceOptions,
): cloudflare.DnsRecord =>
  new cloudflare.DnsRecord(
    name,
    { zoneId, name: host.fqdn, type: "A", content: address, proxied: true, ttl: 1, comment }, // 1: automatic, the only one for proxied records
    opts,
  );

/** `@` is no name for a resource. */
export const dnsRecordName = (name: string, host: Host, node: ClusterNode["name"]): string =>
  `${name}-${host.label === "@" ? "apex" : host.label}-${node}`;
