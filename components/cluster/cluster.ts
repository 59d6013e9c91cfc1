import type * as hcloud from "@pulumi/hcloud";
import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { accessDoors } from "../../model/access-tcp";
import type { ClusterNode, Platform } from "../../model/platform";
import { apiTailnet } from "../../model/tailnet";
import type { CloudApi } from "../cloud-api";
import type { CloudOptions } from "../cloud-options";
import { INSTALLATION_LABEL } from "../installation";
import { addressOnceMade, makeAddresses } from "./addresses";
import { type AccessToken, addressOf, type ApiDoor, doorAt, openDoors } from "./api-doors";
import { Certificates, type ClientCertificate } from "./certificates";
import { makeClusterObjects } from "./cluster-objects";
import type { Escrow } from "./escrow";
import { makeAgentFirewall, makeFirewall } from "./firewall";
import type { Hetzner } from "./hetzner";
import { ADVICE, answeringServer, askServer, type Credentials, kubeconfig } from "./kubernetes-api";
import { makeNetwork, makeSubnet } from "./network";
import { makePlacementGroup } from "./placement-group";
import { timeLimits } from "./roll/limits";
import { Rolling } from "./roll/rolling";
import { stop } from "./roll/stop";
import { makeServer } from "./server";
import { tailnetDoors } from "./tailnet-doors";
import { clusterConfigSecrets, definitionAspects, definitionDigest, type NodeIdentity, userData } from "./user-data";

/** A server boots, K3s is downloaded (75 MB), three members meet: 2 to 3 minutes as a rule. */
const API_DEADLINE_SECONDS = 600;
const API_GRACE_SECONDS = 5;
const API_PERIOD_SECONDS = 2;
const API_TIMEOUT_SECONDS = 5;
/** A preview asks once: it runs where the firewall may not let it through. */
const PREVIEW_TIMEOUT_SECONDS = 2;
/** How often "still waiting" is printed. */
const PROGRESS_PERIOD_SECONDS = 10;

export interface ClusterArgs {
  platform: Platform;
  /** Drawn once and kept in the state; a label of everything made at Hetzner. */
  installation: pulumi.Input<string>;
  /** For every resource at Hetzner. */
  cloudOptions: CloudOptions;
  /** For what no provider resource does. */
  hetzner: pulumi.Input<CloudApi>;
  /** Names that lead to an address, which a server must not lose before. @default none */
  namesLeadingTo?: (address: string) => Promise<readonly string[]>;
  /** Secret values of the stack's configuration, by name. */
  configSecrets: Readonly<Record<string, pulumi.Output<string>>>;
  /** Where the Kubernetes API is reached through Cloudflare Access. @default by the servers' addresses */
  access?: pulumi.Input<ApiAccess>;
  /** Nothing of a new generation is made before this is known. @default at once */
  after?: pulumi.Input<pulumi.Resource>;
  /** The names that lead away from the servers before these are shut for everybody. @default nothing */
  shutAfter?: pulumi.Input<pulumi.Resource[]>;
}

interface AnsweringArgs {
  /** The administrator's. */
  credentials: pulumi.Output<Credentials>;
  doors: pulumi.Output<readonly ApiDoor[]>;
  servers: readonly hcloud.Server[];
  rolling: Rolling;
}

/** What the way through Cloudflare Access takes, at both of its ends. Secret. */
export interface ApiAccess {
  /** The servers' connectors run with it. */
  readonly tunnelToken: string;
  /** This program passes with it. */
  readonly serviceToken: AccessToken;
}

/**
 * Hetzner servers that form one K3s cluster (three; one for development), its agents, and the administrator's way into it. Nothing connects to the servers while
 * they are made: they boot by themselves from their user-data, and the kubeconfig is made here, not fetched.
 */
export class Cluster extends pulumi.ComponentResource {
  /** Public IPv4 of each node, by its name (a, b, c, general-1). They outlive the servers. */
  readonly addresses: Readonly<Record<ClusterNode["name"], pulumi.Output<string>>>;
  /**
   * Public IPv6 of each node, which outlive the servers, too; empty where they have none. Each is known when its server has it: on a living
   * platform that is the end of the server's turn, and a name that led there earlier would lead nowhere.
   */
  readonly addressesIpv6: Readonly<Record<ClusterNode["name"], pulumi.Output<string>>>;
  /** Secret. Points at the first server that answers; valid for 30 days, renewed by every `pulumi up` after 15. */
  readonly kubeconfig: pulumi.Output<string>;
  /** Secret. Reads everything but Secrets; for previews in CI. */
  readonly ciKubeconfig: pulumi.Output<string>;
  /** Secret. What must outlive the state, see escrow.ts. */
  readonly escrow: pulumi.Output<Escrow>;
  /** For everything inside the cluster. */
  readonly provider: kubernetes.Provider;
  /** The servers'. */
  readonly firewall: hcloud.Firewall;

  constructor(name: string, args: ClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:cluster:Cluster", name, {}, opts);
    const { platform, installation, cloudOptions, hetzner: api, configSecrets, access, after, shutAfter } = args;
    const { servers: controlPlane, agents, nodes, placementGroups, generation } = platform.cluster;
    const hetzner: Hetzner = {
      platform,
      parent: this,
      labels: { cluster: platform.name, [INSTALLATION_LABEL]: installation },
      options: cloudOptions,
      api,
    };

    const network = makeNetwork(`${name}-network`, hetzner);
    const subnet = makeSubnet(`${name}-subnet`, network, hetzner);
    const firewall = makeFirewall(`${name}-firewall`, hetzner, shutAfter);
    this.firewall = firewall;
    const agentFirewall = agents.length === 0 ? firewall : makeAgentFirewall(`${name}-agents-firewall`, hetzner);
    const groups = new Map(
      placementGroups.flatMap((group) => {
        const role = group.name === "servers" ? "placement" : `placement-${group.name}`;
        const made = makePlacementGroup(`${name}-${role}`, group, hetzner);
        return group.nodes.map((node) => [node, made] as const);
      }),
    );
    const addresses = nodes.map((node) => makeAddresses(`${name}-${node.name}`, node, hetzner));
    const certificates = new Certificates(
      `${name}-g${generation}`,
      {
        clusterName: platform.name,
        generation,
        agents: agents.length > 0,
        configSecrets: pick(configSecrets, clusterConfigSecrets(platform)),
        ...(configSecrets["escrow"] === undefined ? {} : { escrow: configSecrets["escrow"] }),
        ...(after === undefined ? {} : { after }),
      },
      { parent: this },
    );

    // Servers come first among the nodes.
    const apiAddresses = pulumi.all(addresses.slice(0, controlPlane.length).map(({ ipv4 }) => ipv4.ipAddress));
    const credentialsOf = (client: ClientCertificate): pulumi.Output<Credentials> =>
      pulumi.secret(pulumi.output({ authorityPem: certificates.serverAuthorityPem, ...client }));
    const credentials = credentialsOf(certificates.administrator);
    const tunnelToken = access === undefined ? undefined : pulumi.secret(pulumi.output(access).tunnelToken);
    const doors = this.#doors(
      args,
      pulumi.all(nodes.map((node, index) => [node.name, addresses[index]!.ipv4.ipAddress] as const)),
    );
    const rolling = new Rolling({
      platform,
      component: this,
      hetzner: api,
      installation,
      credentials,
      namesLeadingTo: args.namesLeadingTo ?? (() => Promise.resolve([])),
      doors,
    });

    const definitions = nodes.map((node, index) => {
      const identity = pulumi
        .all([addresses[index]!.ipv4.ipAddress, apiAddresses])
        .apply(([publicAddress, all]): NodeIdentity => ({ node, publicAddress, apiAddresses: all }));
      const parts = {
        definition: identity.apply((known) => definitionDigest(platform, known)),
        aspects: identity.apply((known) => definitionAspects(platform, known)),
        userData: pulumi.secret(
          pulumi
            .all([identity, certificates.secrets, tunnelToken])
            .apply(([known, secrets, operatorsTunnelToken]) =>
              userData(platform, known, { ...secrets, operatorsTunnelToken }),
            ),
        ),
      };
      const { definition, userData: text } = parts;
      const { ipv4, ipv6 } = addresses[index]!;
      rolling.add(
        `${name}-${node.name}`,
        node,
        pulumi.all([definition, text, ipv4.id, ipv6?.id]).apply(([digest, known, idOfIpv4, idOfIpv6]) => ({
          definition: digest,
          userData: known,
          image: platform.cluster.image,
          addresses: { ipv4: Number(idOfIpv4), ipv6: idOfIpv6 === undefined ? undefined : Number(idOfIpv6) },
        })),
      );
      return parts;
    });
    // A hook waits inside a step of the engine, whose other steps may all be waiting behind it (--parallel 1): what the hook of
    // any server may need has to be known before the first server is registered.
    const everything = pulumi.all([credentials, doors, pulumi.all(definitions.map(({ userData: text }) => text))]);
    const servers = nodes.map((node, index) => {
      const { definition, aspects, userData: text } = definitions[index]!;
      return makeServer(
        `${name}-${node.name}`,
        {
          node,
          addresses: addresses[index]!,
          subnet,
          firewall: node.role === "server" ? firewall : agentFirewall,
          placementGroup: groups.get(node.name)!,
          definition,
          aspects,
          userData: pulumi.all([text, everything, rolling.registration(node, everything)]).apply(([known]) => known),
          rolling,
        },
        hetzner,
      );
    });
    rolling.announce(servers);

    const answering = this.#answering(platform, { credentials, doors, servers, rolling });
    const kubeconfigOf = (client: pulumi.Output<Credentials>): pulumi.Output<string> =>
      pulumi.secret(pulumi.all([answering, client]).apply(([door, known]) => kubeconfig(platform.name, door, known)));
    this.kubeconfig = kubeconfigOf(credentials);
    this.ciKubeconfig = kubeconfigOf(credentialsOf(certificates.ci));
    this.escrow = certificates.escrow;
    // `trivet rebuild` sets it for the plug-in, which takes it from the engine. The SDK would write it into the provider's arguments,
    // and so into the state, where every later refresh of an unreachable cluster would obey it.
    delete process.env["PULUMI_K8S_DELETE_UNREACHABLE"];
    this.provider = new kubernetes.Provider(
      name,
      {
        kubeconfig: this.kubeconfig,
        // Another address or certificate is not another cluster; another generation is.
        clusterIdentifier: `${platform.name}-${generation}`,
        enableServerSideApply: true,
        // Changed in place: replaced would mean deleted first, as their names are explicit.
        enableConfigMapMutable: true,
        enableSecretMutable: true,
        // Neither deleteUnreachable nor skipUpdateUnreachable: the first lets a refresh empty the state, the second lies.
      },
      { parent: this },
    );
    makeClusterObjects(name, { platform, configSecrets }, { parent: this, provider: this.provider });

    this.addresses = Object.fromEntries(nodes.map((node, index) => [node.name, addresses[index]!.ipv4.ipAddress]));
    this.addressesIpv6 = Object.fromEntries(
      nodes.flatMap(({ name: node }, index) => {
        const { ipv6 } = addresses[index]!;
        return ipv6 === undefined ? [] : [[node, addressOnceMade(ipv6, servers[index]!)] as const];
      }),
    );
    this.registerOutputs({
      addresses: this.addresses,
      addressesIpv6: this.addressesIpv6,
      kubeconfig: this.kubeconfig,
    });
  }

  /** The ways to the API of every node, by whichever the platform has. @param addresses public ones, by the node's name */
  #doors(
    { platform, access }: ClusterArgs,
    addresses: pulumi.Output<(readonly [string, string])[]>,
  ): pulumi.Output<readonly ApiDoor[]> {
    if (accessDoors(platform).length > 0) return this.#openDoors(platform, access);
    const tailnet = apiTailnet(platform);
    if (tailnet !== undefined) return pulumi.output(tailnetDoors(tailnet));
    return addresses.apply((all) => all.map(([node, address]) => doorAt(node, address)));
  }

  /** The server that the kubeconfig leads to: the first that answers. */
  #answering(platform: Platform, { credentials, doors, servers, rolling }: AnsweringArgs): pulumi.Output<ApiDoor> {
    const way =
      accessDoors(platform).length > 0 ? "access" : apiTailnet(platform) !== undefined ? "tailscale" : "addresses";
    const preview = pulumi.runtime.isDryRun();
    return (
      pulumi
        // The servers' ids say that they exist; before that nobody can answer. A preview asks those that exist already: unknown, the
        // kubeconfig would hide what becomes of every object in the cluster.
        .all([credentials, doors, pulumi.all(preview ? [] : servers.map(({ id }) => id))])
        .apply(async ([known, all]) => {
          // A kubeconfig holds an address; one that does not answer in a preview may have none.
          const search = async (): Promise<ApiDoor> => {
            const found = await answeringServer({
              servers: platform.cluster.servers.map(({ name: node, hostname }) => ({
                name: hostname,
                door: all.find((door) => door.node === node)!,
              })),
              ask: (asked) => askServer(asked, known, preview ? PREVIEW_TIMEOUT_SECONDS : API_TIMEOUT_SECONDS),
              deadlineSeconds: preview ? 0 : Math.min(API_DEADLINE_SECONDS, timeLimits().boot),
              graceSeconds: API_GRACE_SECONDS,
              periodSeconds: API_PERIOD_SECONDS,
              advice: ADVICE[way],
              progress: everyFewSeconds((line) => void pulumi.log.info(line, this, undefined, true)),
            });
            return { ...found, host: await addressOf(found).catch(() => found.host) };
          };
          if (preview) return search();
          try {
            await search();
            // What runs in the cluster finds every node that this run began. Then the first server answers as well, and is chosen:
            // otherwise the next run would choose another one, and have something to change.
            await rolling.settled();
            return await search();
          } catch (error) {
            return stop((error as Error).message, this);
          }
        })
    );
  }

  /** In a preview, too: it asks the cluster that is there. */
  #openDoors(platform: Platform, access: ClusterArgs["access"]): pulumi.Output<readonly ApiDoor[]> {
    if (access === undefined)
      throw new Error("The Kubernetes API is behind Cloudflare Access, and nothing leads there");
    return pulumi.output(access).apply(async ({ serviceToken }) => {
      try {
        return await openDoors(platform, serviceToken);
      } catch (error) {
        return stop((error as Error).message, this);
      }
    });
  }
}

const pick = <T>(from: Readonly<Record<string, T>>, names: readonly string[]): Record<string, T> =>
  Object.fromEntries(names.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])));

/** Lets a line through at most every ten seconds, so that a log without a terminal stays readable. */
function everyFewSeconds(say: (line: string) => void): (line: string) => void {
  let last = -Infinity;
  return (line) => {
    const now = performance.now() / 1000;
    if (now - last < PROGRESS_PERIOD_SECONDS) return;
    last = now;
    say(line);
  };
}
