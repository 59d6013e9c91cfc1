import type * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode, Platform } from "../../model/platform";
import type { CloudOptions } from "../cloud-options";
import type { CloudApi } from "../cloud-api";
import { installationComment } from "../installation";
import { Access } from "./access";
import { OriginCertificate } from "./origin-certificate";
import { OriginPulls } from "./origin-pulls";
import { makeRecords } from "./records";
import { makeRulesets } from "./rulesets";
import { makeSites } from "./sites";
import { Tunnel } from "./tunnel";
import { makeZoneRecords } from "./zone-records";
import { makeZoneSettings } from "./zone-settings";
import { signZone } from "./zone-signing";

export interface EdgeArgs {
  platform: Platform;
  /** Public addresses of the nodes; those of the servers, where Traefik runs, are what the records name. */
  addresses: Readonly<Record<ClusterNode["name"], pulumi.Input<string>>>;
  /** The same, IPv6; each known when its server has it. @default none */
  addressesIpv6?: Readonly<Record<ClusterNode["name"], pulumi.Input<string>>>;
  /** The mark in the comment of every record and the description of every ruleset. */
  installation: pulumi.Input<string>;
  /** For what has a name that is unique at Cloudflare. */
  cloudOptions: CloudOptions;
  revokeTwins: pulumi.ResourceHook;
  removeAccessTwins: pulumi.ResourceHook;
  /** Asked whether a client certificate has reached the edge. */
  cloudflare: pulumi.Input<CloudApi>;
  /** Whether this run puts the zone's settings back, for a `pulumi destroy` that follows. */
  handedBack: boolean;
}

/** What Cloudflare does in front of the cluster: where names lead, TLS on both sides, the zone's own rules, and static sites. */
export class Edge extends pulumi.ComponentResource {
  /** Undefined where Cloudflare speaks plain HTTP to the servers. */
  readonly originCertificate: OriginCertificate | undefined;
  /** Undefined where no server is connected to, or without TLS. */
  readonly originPulls: OriginPulls | undefined;
  /** Secret. What the connectors of each tunnel run with. */
  readonly tunnelTokens: Readonly<Partial<Record<"users" | "operators", pulumi.Output<string>>>>;
  /** Secret. By the machine's name; undefined without a team at Cloudflare Access. */
  readonly serviceTokens: Access["serviceTokens"] | undefined;
  /** Secret. With which this program passes to the Kubernetes API; undefined where that is not behind Access. */
  readonly programToken: Access["programToken"];
  /** For the registrar, where the zone is signed. */
  readonly dsRecord: pulumi.Output<string> | undefined;

  readonly #lead: (after: readonly pulumi.Resource[]) => readonly cloudflare.DnsRecord[];

  constructor(name: string, args: EdgeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:edge:Edge", name, {}, opts);
    const { platform, addresses, addressesIpv6 = {}, installation, cloudOptions, handedBack } = args;
    const { edge, domain, cluster } = platform;
    const { zone, operators } = edge;
    const { accountId } = zone;
    const parent = { parent: this };
    const comment = pulumi.output(installation).apply(installationComment);

    const guarded = (operators?.tunnel?.rules ?? []).filter(({ access }) => access !== undefined);
    const access =
      operators?.team === undefined
        ? undefined
        : new Access(
            name,
            {
              accountId,
              operators,
              hostnames: [...new Set(guarded.map(({ hostname }) => hostname))],
              mark: comment,
              cloudOptions,
              removeTwins: args.removeAccessTwins,
            },
            parent,
          );
    const audiences = access?.audiences ?? {};
    const shared = { accountId, audiences, protect: cluster.protect, cloudOptions };
    const users =
      edge.kind === "tunnel" ? new Tunnel(`${name}-tunnel`, { ...shared, wanted: edge.tunnel }, parent) : undefined;
    const own =
      operators?.tunnel &&
      new Tunnel(
        `${name}-operators-tunnel`,
        {
          ...shared,
          wanted: operators.tunnel,
          // The last guard that is taken away takes the tunnel along; the way to the Kubernetes API must not go by an oversight.
          protect: cluster.protect && operators.kubernetesApi === "access",
        },
        parent,
      );
    this.tunnelTokens = { ...(users && { users: users.token }), ...(own && { operators: own.token }) };
    this.serviceTokens = access?.serviceTokens;
    this.programToken = access?.programToken;

    const contents = {
      ipv4: addresses,
      ipv6: addressesIpv6,
      tunnels: { ...(users && { users: users.target }), ...(own && { operators: own.target }) },
    };
    own?.routeRequests();
    this.#lead = (after) => {
      users?.routeRequests(after);
      return makeRecords(name, { platform, contents, comment, cloudOptions, after }, parent);
    };
    makeZoneRecords(name, { zoneId: zone.id, records: edge.records, comment, cloudOptions }, parent);
    makeZoneSettings(name, { edge, handedBack }, parent);
    makeRulesets(name, { zone, comment, cloudOptions }, parent);
    makeSites(name, { edge, comment, cloudOptions }, this);
    this.dsRecord = signZone(name, zone, parent);
    this.originCertificate =
      edge.originCertificate &&
      new OriginCertificate(
        `${name}-origin`,
        { wanted: edge.originCertificate, domain, revokeTwins: args.revokeTwins },
        parent,
      );
    this.originPulls =
      edge.originPulls &&
      new OriginPulls(
        `${name}-origin-pulls`,
        { zoneId: zone.id, cloudflare: args.cloudflare, cloudOptions, handedBack },
        parent,
      );
    this.registerOutputs({});
  }

  /**
   * Makes the records of hosts, and the users' tunnel's rules. Apart from the rest, because while Cloudflare is bypassed they have to wait for what visitors
   * then find: an open firewall, and a Traefik that takes them; where Cloudflare's API is away, too, a run ends here, and not before. On the way
   * back these wait for the records. Returns what they may wait for.
   */
  leadNames(after: readonly pulumi.Resource[]): readonly cloudflare.DnsRecord[] {
    return this.#lead(after);
  }
}
