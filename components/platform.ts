import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { ClusterNode, Platform as Model } from "../model/platform";
import { charts } from "./charts";
import type { CloudApi } from "./cloud-api";
import { cloudOptions } from "./cloud-options";
import { type ApiAccess, Cluster } from "./cluster/cluster";
import { consented } from "./cluster/roll/consented";
import { withinReach } from "./cluster/within-reach";
import { Connectors } from "./connectors/connectors";
import { Edge } from "./edge/edge";
import { isHandedBack, type StaysAtCloudflare, staysAtCloudflare } from "./edge/hand-back";
import { namesLeadingTo } from "./edge/records";
import { Ingress } from "./ingress/ingress";
import { removeAccessTwins } from "./lost-answers/access";
import { revokeTwins } from "./lost-answers/certificates";
import { lostAnswerOptions } from "./lost-answers/lost-answers";
import { checkManifests, reportManifests } from "./manifests";
import { Metrics } from "./metrics/metrics";
import { type Part, type PartArgs, partsOf } from "./part";
import { Policies } from "./policies/policies";
import { SecretValues } from "./secrets";
import { Stores } from "./stores/stores";
import { Workloads } from "./workloads/workloads";

export interface PlatformArgs {
  /** As `resolve()` returned it: complete and checked. */
  platform: Model;
  /** Secret values of the stack's configuration, by name. */
  configSecrets: Readonly<Record<string, pulumi.Output<string>>>;
  /** For what no provider resource does: clearing up after a create whose answer was lost. */
  hetzner: pulumi.Input<CloudApi>;
  cloudflare: pulumi.Input<CloudApi>;
}

/**
 * A whole platform: servers, cluster, edge, and everything that runs in between. Below it, parts do not know one another;
 * what one needs of another passes through here, in the order in which data flows.
 */
export class Platform extends pulumi.ComponentResource {
  readonly addresses: Readonly<Record<ClusterNode["name"], pulumi.Output<string>>>;
  /** Undefined where servers have none. */
  readonly addressesIpv6: Cluster["addressesIpv6"] | undefined;
  /** Secret. */
  readonly kubeconfig: pulumi.Output<string>;
  /** Secret. For CI: reads, and no Secrets. */
  readonly ciKubeconfig: pulumi.Output<string>;
  /** Secret. For `trivet escrow`. */
  readonly escrow: Cluster["escrow"];
  /** Secret. What machines show to Cloudflare Access, by their names. */
  readonly serviceTokens: Edge["serviceTokens"];
  /** Secret. With which `trivet` passes Cloudflare Access to the Kubernetes API; undefined where that is reached by addresses. */
  readonly apiToken: Edge["programToken"];
  /** For the registrar, where the zone is signed. */
  readonly dsRecord: Edge["dsRecord"];
  /** What `pulumi destroy` does not undo, and how to undo it first. Undefined once that is done. */
  readonly staysAtCloudflare: StaysAtCloudflare | undefined;

  constructor(name: string, args: PlatformArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:platform:Platform", name, {}, opts);
    const { platform, configSecrets, hetzner, cloudflare } = args;
    // Before anything is registered: a run that is refused has changed nothing.
    const manifests = manifestsOf(platform);
    const handedBack = isHandedBack(platform.edge);
    const parent = { parent: this };

    const drawn = new random.RandomId(`${name}-installation`, { byteLength: 8 }, parent);
    // Nearly everything carries this mark, so a run that is refused here has touched nothing.
    const installation = withinReach(platform, consented(drawn.hex, { platform, hetzner }));
    const options = cloudOptions(lostAnswerOptions({ hetzner, cloudflare, installation }));

    // Names need the servers' addresses, and servers the token of the tunnel behind which their API is.
    const behindAccess = (platform.edge.operators?.apiDoors ?? []).length > 0;
    const [access, giveAccess] = pulumi.deferredOutput<ApiAccess>();

    // Servers that names lead to are open; servers that are shut have no name leading to them. So whichever comes first in one
    // direction comes last in the other, and a run that fails in between leaves visitors with what they have.
    const bypassed = platform.edge.mode === "direct";
    let lead!: (records: pulumi.Resource[]) => void;
    const led = new Promise<pulumi.Resource[]>((resolve) => (lead = resolve));

    const cluster = new Cluster(
      name,
      {
        platform,
        installation,
        cloudOptions: options,
        hetzner,
        namesLeadingTo: namesLeadingTo(cloudflare, platform.edge.zone.id),
        configSecrets,
        ...(behindAccess ? { access } : {}),
        after: installation.apply(() => drawn),
        ...(bypassed ? {} : { shutAfter: led }),
      },
      parent,
    );
    const edge = new Edge(
      name,
      {
        platform,
        addresses: cluster.addresses,
        addressesIpv6: cluster.addressesIpv6,
        installation,
        cloudOptions: options,
        revokeTwins: revokeTwins(cloudflare, platform.edge.zone.id),
        removeAccessTwins: removeAccessTwins(cloudflare),
        cloudflare,
        handedBack,
      },
      parent,
    );
    if (!bypassed) lead([...edge.leadNames([])]);
    const { originCertificate, tunnelTokens, programToken } = edge;
    if (programToken !== undefined)
      giveAccess(pulumi.output({ tunnelToken: tunnelTokens.operators!, serviceToken: programToken }));
    const originPullsAuthority = edge.originPulls?.authorityPem;
    const secrets = new SecretValues(
      name,
      { configSecrets, originCertificate, originPullsAuthority, tunnelTokens },
      parent,
    );

    const { provider } = cluster;
    const policies = new Policies(name, { manifests: manifests.policies, provider }, parent);
    const part = (which: Part): PartArgs => ({
      platform,
      manifests: manifests[which],
      provider,
      secrets,
      after: policies.objects,
    });
    new Stores(name, part("stores"), parent);
    new Workloads(name, part("workloads"), parent);
    const ingress = new Ingress(name, part("ingress"), parent);
    if (bypassed) edge.leadNames([cluster.firewall, ...ingress.objects]);
    // A platform without a tunnel has none, and no component for them.
    if (Object.keys(tunnelTokens).length > 0) new Connectors(name, part("connectors"), parent);
    new Metrics(name, part("metrics"), parent);

    this.addresses = cluster.addresses;
    this.addressesIpv6 = platform.cluster.ipv6 ? cluster.addressesIpv6 : undefined;
    this.kubeconfig = cluster.kubeconfig;
    this.ciKubeconfig = cluster.ciKubeconfig;
    this.escrow = cluster.escrow;
    this.serviceTokens = edge.serviceTokens;
    this.apiToken = programToken;
    this.dsRecord = edge.dsRecord;
    this.staysAtCloudflare = staysAtCloudflare(platform.edge, handedBack);
    this.registerOutputs({ addresses: this.addresses, kubeconfig: this.kubeconfig });
  }
}

function manifestsOf(platform: Model): ReturnType<typeof partsOf> {
  const manifests = charts(platform);
  const problems = checkManifests(manifests);
  if (problems.length > 0) throw new pulumi.RunError(reportManifests(problems));
  return partsOf(manifests);
}
