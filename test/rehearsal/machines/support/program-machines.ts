import { clusterConfigSecrets, type NodeSecrets, userData } from "../../../../components/cluster/user-data";
import type { Platform } from "../../../../model/platform";
import type { Machine } from "../../../../rehearsal/emulators/hetzner/machine-host";
import { type ClusterSecrets, makeClusterSecrets } from "./authorities";

export interface ProgramMachines {
  /** In the order of the platform's nodes; at `<loopback prefix>.11` and on. */
  machines: readonly Machine[];
  secrets: ClusterSecrets;
}

/** The nodes of a platform as what boots them gets them, with the user-data that the program makes for them. */
export async function programMachines(platform: Platform, loopbackPrefix: string): Promise<ProgramMachines> {
  const { nodes, servers, agents, image } = platform.cluster;
  const secrets = await makeClusterSecrets();
  const nodeSecrets = nodeSecretsOf(platform, secrets, agents.length > 0);
  const addresses = nodes.map((_, index) => `${loopbackPrefix}.${11 + index}`);
  const apiAddresses = addresses.slice(0, servers.length);
  const machines = nodes.map((node, index): Machine => ({
    id: 1_000_042 + 3 * index,
    name: node.hostname,
    serverType: node.serverType,
    architecture: node.architecture,
    location: node.location,
    image,
    userData: userData(platform, { node, publicAddress: addresses[index]!, apiAddresses }, nodeSecrets),
    labels: {},
    publicIpv4: addresses[index]!,
    privateNetworks: [{ networkId: 1_000_010, ip: node.privateAddress, macAddress: `86:00:00:00:00:0${index + 1}` }],
  }));
  return { machines, secrets };
}

/** As the program names them; a value of the configuration is `<its name> of a test`. */
function nodeSecretsOf(platform: Platform, secrets: ClusterSecrets, hasAgents: boolean): NodeSecrets {
  const authority = (name: keyof typeof secrets.authorities): { certificatePem: string; privateKeyPem: string } => ({
    certificatePem: secrets.authorities[name].certificatePem,
    privateKeyPem: secrets.authorities[name].keyPem,
  });
  return {
    authorities: {
      server: authority("server-ca"),
      client: authority("client-ca"),
      requestHeader: authority("request-header-ca"),
      etcdPeer: authority("etcd/peer-ca"),
      etcdServer: authority("etcd/server-ca"),
    },
    serviceAccountKeyPem: secrets.serviceKeyPem,
    serverToken: secrets.token,
    agentToken: secrets.agentToken,
    ...(hasAgents ? { agentStatus: authority("server-ca") } : {}),
    config: Object.fromEntries(clusterConfigSecrets(platform).map((name) => [name, `${name} of a test`])),
  };
}
