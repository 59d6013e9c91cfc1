import { type NodeSecrets, userData } from "../../../components/cluster/user-data";
import type { Machine } from "../../../rehearsal/emulators/hetzner/machine-host";
import { criticalMismatches, criticalValues } from "../../../rehearsal/k3s/config";
import { nodeObject } from "../../../rehearsal/k3s/nodes/node";
import { readServerDefinition } from "../../../rehearsal/machines";
import { hardwareOf } from "../../../rehearsal/machines/hardware";
import { pooledPlatform } from "../../support/platform";
import { makeClusterSecrets } from "./support/authorities";

/** What the program writes and what the emulated servers read must fit together, without an engine between them. */
test("the emulated servers accept the user-data of a platform with agents, and the servers agree", async () => {
  const platform = pooledPlatform();
  const { authorities, serviceKeyPem, token } = await makeClusterSecrets();
  const authority = (name: keyof typeof authorities): { certificatePem: string; privateKeyPem: string } => ({
    certificatePem: authorities[name].certificatePem,
    privateKeyPem: authorities[name].keyPem,
  });
  const secrets: NodeSecrets = {
    authorities: {
      server: authority("server-ca"),
      client: authority("client-ca"),
      requestHeader: authority("request-header-ca"),
      etcdPeer: authority("etcd/peer-ca"),
      etcdServer: authority("etcd/server-ca"),
    },
    serviceAccountKeyPem: serviceKeyPem,
    serverToken: token,
    agentToken: "0123456789abcdef0123456789abcdef",
    agentStatus: authority("server-ca"),
    config: { registryPassword: "registry-password" },
  };
  const addresses = platform.cluster.nodes.map((_, index) => `127.50.0.${31 + index}`);
  const apiAddresses = addresses.slice(0, platform.cluster.servers.length);
  const machines = platform.cluster.nodes.map((node, index): Machine => ({
    id: index + 1,
    name: node.hostname,
    serverType: node.serverType,
    architecture: node.architecture,
    location: node.location,
    image: platform.cluster.image,
    userData: userData(platform, { node, publicAddress: addresses[index]!, apiAddresses }, secrets),
    labels: {},
    publicIpv4: addresses[index]!,
    privateNetworks: [{ networkId: 1, ip: node.privateAddress, macAddress: "86:00:00:00:00:01" }],
  }));
  const definitions = await Promise.all(machines.map((machine) => readServerDefinition(machine, new Date())));
  const [first] = definitions as [(typeof definitions)[0]];
  for (const definition of definitions.slice(1, platform.cluster.servers.length))
    expect(criticalMismatches(criticalValues(first.config), definition.config)).toEqual([]);
  for (const { serverAuthorityPem } of definitions) expect(serverAuthorityPem).toBe(first.serverAuthorityPem);
  expect(definitions.map(({ nodeName }) => nodeName)).toEqual(platform.cluster.nodes.map(({ hostname }) => hostname));
  expect(
    nodeObject({ ...first, version: first.release.version }, hardwareOf(machines[0]!)).metadata.labels,
  ).toMatchObject({
    "topology.kubernetes.io/region": platform.cluster.nodes[0]!.location,
  });
});
