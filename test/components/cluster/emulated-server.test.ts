import { fullToken } from "../../../components/cluster/certificates";
import {
  AUTHORITIES,
  type Authority,
  type ClusterSecrets,
  definitionDigest,
  type NodeIdentity,
  userData,
} from "../../../components/cluster/user-data";
import { readServerDefinition } from "../../../rehearsal/machines";
import { makeClusterSecrets } from "../../rehearsal/machines/support/authorities";
import { honeyduePlatform } from "../../support/platform";

const platform = honeyduePlatform();
const ADDRESSES = ["127.44.30.11", "127.44.30.12", "127.44.30.13"];

/** What the program renders is what the emulated servers boot from: their own judge says whether they could. */
describe("the rendered user-data, as an emulated server reads it", () => {
  let secrets: ClusterSecrets;

  beforeAll(async () => {
    const made = await makeClusterSecrets();
    const of = (path: (typeof AUTHORITIES)[Authority]) => {
      const { certificatePem, keyPem } = made.authorities[path];
      return { certificatePem, privateKeyPem: keyPem };
    };
    secrets = {
      authorities: {
        server: of(AUTHORITIES.server),
        client: of(AUTHORITIES.client),
        requestHeader: of(AUTHORITIES.requestHeader),
        etcdPeer: of(AUTHORITIES.etcdPeer),
        etcdServer: of(AUTHORITIES.etcdServer),
      },
      serviceAccountKeyPem: made.serviceKeyPem,
      serverToken: fullToken(made.authorities["server-ca"].certificatePem, "a".repeat(48)),
      agentToken: "b".repeat(48),
    };
  });

  test.each([0, 1, 2])("server %i boots from it, as the node it is meant to be", async (index) => {
    const node = platform.cluster.nodes[index]!;
    const identity: NodeIdentity = { node, publicAddress: ADDRESSES[index]!, apiAddresses: ADDRESSES };
    const definition = await readServerDefinition(
      {
        id: index + 1,
        name: node.hostname,
        serverType: "cx33",
        architecture: "x86",
        location: "nbg1",
        image: platform.cluster.image,
        userData: userData(platform, identity, secrets),
        labels: {},
        publicIpv4: ADDRESSES[index]!,
        privateNetworks: [{ networkId: 1, ip: node.privateAddress, macAddress: "86:00:00:2a:00:01" }],
      },
      new Date(),
    );
    expect(definition.nodeName).toBe(node.hostname);
    expect(definition.node).toMatchObject({
      cluster: "honeydue",
      generation: 1,
      definition: definitionDigest(platform, identity),
    });
  });
});
