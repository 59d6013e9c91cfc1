import * as pulumi from "@pulumi/pulumi";
import { Platform } from "../components/platform";
import { monthlyCost } from "../model/cost";
import { urlPort } from "../model/edge";
import farm from "./farm";
import hangangjari from "./hangangjari";
import honeydue from "./honeydue";
import { readSettings } from "./settings";

/** The Pulumi program: chooses the platform, checks everything, builds it. A new platform is one line here. */
const { platform, ...settings } = readSettings({ honeydue, hangangjari, farm });
// Once, where people decide: an update would only repeat it.
if (pulumi.runtime.isDryRun())
  for (const { code, level, path, text } of platform.notices)
    void pulumi.log[level === "warning" ? "warn" : "info"](`${code}  ${path}: ${text}`);
const built = new Platform(platform.name, { platform, ...settings });

/** Public addresses, each with the way it takes. */
export const hosts = platform.edge.hosts.map(({ fqdn }) => `https://${fqdn}${urlPort(platform.edge)}`);
/** Public IPv4 of each node. They outlive the servers. */
export const nodeAddresses = built.addresses;
/** What there is, for `trivet` and for people. */
export const nodes = platform.cluster.nodes.map(({ name, hostname, role, privateAddress, serverType, location }) => ({
  name,
  hostname,
  role,
  address: built.addresses[name],
  privateAddress,
  serverType,
  location,
}));
/** For kubectl: `pulumi stack output --show-secrets kubeconfig > kubeconfig`. Ends after 30 days; `pulumi up` renews it. */
export const kubeconfig = built.kubeconfig;
/** The same for CI: it may read everything but Secrets. */
export const ciKubeconfig = built.ciKubeconfig;
/** For `trivet escrow`: authorities, keys and tokens, without which no snapshot can be read. */
export const escrow = built.escrow;
/** Servers and addresses at Hetzner, net, at the prices for new orders. */
export const costPerMonth = (({ total, currency }) => ({ amount: total, currency }))(monthlyCost(platform));
export const generation = platform.cluster.generation;

/**
 * What not every platform has. An `export const` of undefined would be a warning in each run, so these are exported only where there is
 * something to tell.
 */
const someHave = {
  /** Public IPv6 of each node, where the setting `ipv6` is on. */
  nodeAddressesIpv6: built.addressesIpv6,
  /** What `pulumi destroy` does not undo, and the command that undoes it first. */
  staysAtCloudflare: built.staysAtCloudflare,
  /** For machines that pass Cloudflare Access: headers CF-Access-Client-Id and CF-Access-Client-Secret, by the machine's name. */
  serviceTokens: built.serviceTokens,
  /** For `trivet`, where the Kubernetes API is behind Cloudflare Access; people log in as themselves: `npx trivet api`. */
  apiToken: built.apiToken,
  /** For the registrar, where the zone is signed. */
  dsRecord: built.dsRecord,
};
Object.assign(exports, Object.fromEntries(Object.entries(someHave).filter(([, value]) => value !== undefined)));
