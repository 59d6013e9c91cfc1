import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Answer, askServer } from "../../../components/cluster/kubernetes-api";
import { tailnetDoors } from "../../../components/cluster/tailnet-doors";
import { fullToken } from "../../../components/cluster/certificates";
import {
  AUTHORITIES,
  type Authority,
  type ClusterSecrets,
  definitionDigest,
  type NodeIdentity,
  userData,
} from "../../../components/cluster/user-data";
import type { Platform } from "../../../model/platform";
import { createMachines, readServerDefinition } from "../../../rehearsal/machines";
import { Tailnet } from "../../../rehearsal/tailnet";
import { referencePlatform } from "../../model/platforms.fixture";
import {
  type ClusterSecrets as MadeSecrets,
  makeClient,
  makeClusterSecrets,
} from "../../rehearsal/machines/support/authorities";
import { honeyduePlatform } from "../../support/platform";

const platform = honeyduePlatform();
const ADDRESSES = ["127.44.30.11", "127.44.30.12", "127.44.30.13"];

/** What the program renders is what the emulated servers boot from: their own judge says whether they could. */
describe("the rendered user-data, as an emulated server reads it", () => {
  let secrets: ClusterSecrets;
  let made: MadeSecrets;

  beforeAll(async () => {
    made = await makeClusterSecrets();
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

  const serverOf = (of: Platform, index: number, config?: Record<string, string>) => {
    const node = of.cluster.nodes[index]!;
    const identity: NodeIdentity = { node, publicAddress: ADDRESSES[index]!, apiAddresses: ADDRESSES };
    const machine = {
      id: index + 1,
      name: node.hostname,
      serverType: node.serverType,
      architecture: node.architecture,
      location: node.location,
      image: of.cluster.image,
      userData: userData(of, identity, { ...secrets, config }),
      labels: {},
      publicIpv4: ADDRESSES[index]!,
      privateNetworks: [{ networkId: 1, ip: node.privateAddress, macAddress: "86:00:00:2a:00:01" }],
    };
    return { identity, machine };
  };

  test.each([0, 1, 2])("server %i boots from it, as the node it is meant to be", async (index) => {
    const node = platform.cluster.nodes[index]!;
    const { identity, machine } = serverOf(platform, index);
    const definition = await readServerDefinition(machine, new Date());
    expect(definition.nodeName).toBe(node.hostname);
    expect(definition.node).toMatchObject({
      cluster: "honeydue",
      generation: 1,
      definition: definitionDigest(platform, identity),
    });
  });

  describe("of a platform that is operated over Tailscale", () => {
    const farm = referencePlatform("farm");
    const wanted = farm.edge.operators!.tailnet!;
    const path = process.env["PATH"];
    let folder: string;

    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), "trivet-tailnet-"));
    });
    afterEach(() => {
      process.env["PATH"] = path;
      rmSync(folder, { recursive: true, force: true });
    });

    /** A server alone, which so waits for its peers, and what an operator hears of it. */
    const heard = async (key: string, isWell: (answer: Answer) => boolean): Promise<Answer> => {
      const tailnet = new Tailnet({ name: wanted.name, key: "tskey-client-right", folder: join(folder, "bin") });
      process.env["PATH"] = `${tailnet.folder}:${path}`;
      const nowhere = { path: "/nowhere" };
      const machines = createMachines({
        // Its K3s never starts.
        tools: {
          etcd: nowhere,
          etcdctl: nowhere,
          etcdutl: nowhere,
          "kube-apiserver": nowhere,
          "kube-controller-manager": nowhere,
          "kube-scheduler": nowhere,
          kwok: nowhere,
        },
        directory: join(folder, "machines"),
        listensAt: () => "127.44.31.11",
        tailnet,
      });
      try {
        await machines.powerOn(serverOf(farm, 0, { tailscaleAuthKey: key }).machine);
        const client = await makeClient(made.authorities["client-ca"]);
        const credentials = {
          authorityPem: made.authorities["server-ca"].certificatePem,
          certificatePem: client.certificatePem,
          privateKeyPem: client.keyPem,
        };
        for (const deadline = Date.now() + 60_000; ; await delay(200)) {
          const answer = await askServer(tailnetDoors(wanted)[0]!, credentials, 5);
          if (isWell(answer) || Date.now() > deadline) return answer;
        }
      } finally {
        await machines.close();
      }
    };

    test("a server is seen before it runs K3s, under its name in the tailnet", async () => {
      const answer = await heard("tskey-client-right", (one) => "boot" in one && one.boot?.stage === "rendezvous");
      expect(answer).toMatchObject({ ready: false, boot: { node: "farm-a", stage: "rendezvous", fresh: true } });
    });

    test("one with another key is not seen", async () => {
      let tries = 0;
      expect(await heard("tskey-client-wrong", () => ++tries > 10)).toEqual({
        ready: false,
        reason: "is not in the tailnet farm-example.ts.net",
      });
    });
  });
});
