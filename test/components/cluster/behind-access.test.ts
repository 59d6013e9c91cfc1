import { createServer, type Server } from "node:net";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { OPERATORS_TOKEN_PATH } from "../../../components/cluster/operators-connector";
import { accessDoors } from "../../../model/access-tcp";
import type { Platform } from "../../../model/platform";
import { freePorts } from "../../../rehearsal/rehearse/free-ports";
import { referencePlatform } from "../../model/platforms.fixture";
import { ofType, only, type Registered, registered, secretValue } from "../../support/mocks";
import { buildCluster } from "./cluster.fixture";
import { cloudConfigIn, fileIn } from "./user-data.fixture";

const FIREWALL = "hcloud:index/firewall:Firewall";
const SERVER = "hcloud:index/server:Server";
const PROVIDER = "pulumi:providers:kubernetes";

describe("a cluster whose API is behind Cloudflare Access", () => {
  let platform: Platform;
  let all: readonly Registered[];
  /** Doors that somebody has opened already: the program starts none of its own. */
  const doors: Server[] = [];

  beforeAll(async () => {
    platform = referencePlatform("hangangjari", { apiPort: await freePorts(3) });
    for (const { port } of accessDoors(platform)) {
      const door = createServer((socket) => socket.destroy());
      await new Promise<void>((done) => door.listen(port, "127.0.0.1", done));
      doors.push(door);
    }
    const access = pulumi.secret({
      tunnelToken: "sentinel-tunnel-token",
      serviceToken: { clientId: "id.access", clientSecret: "sentinel-secret" },
    });
    all = await registered(() => buildCluster(platform, { access, namesLeadingTo: () => Promise.resolve([]) }));
  });
  afterAll(() => {
    for (const door of doors) door.close();
  });

  test("has no inbound rule", () => {
    expect(only(all, FIREWALL, "hangangjari-firewall").inputs["rules"]).toEqual([]);
  });

  test("gives every server the token of the operators' tunnel, as a secret", () => {
    const servers = ofType(all, SERVER);
    expect(servers).toHaveLength(3);
    for (const { inputs } of servers)
      expect(fileIn(cloudConfigIn(secretValue(inputs["userData"]) as string), OPERATORS_TOKEN_PATH)?.content).toBe(
        "sentinel-tunnel-token",
      );
  });

  test("is reached by the Kubernetes provider at the first door, under the name that Access has", () => {
    const { clusters } = parse(secretValue(only(all, PROVIDER, "hangangjari").inputs["kubeconfig"]) as string) as {
      clusters: readonly { cluster: object }[];
    };
    expect(clusters[0]?.cluster).toMatchObject({
      server: `https://127.0.0.1:${accessDoors(platform)[0]!.port}`,
      "tls-server-name": "k8s-a.hangangjari.example",
    });
  });
});

test("a cluster behind Access without what leads there is a mistake of the program", () => {
  expect(() => buildCluster(referencePlatform("hangangjari"))).toThrow(
    "behind Cloudflare Access, and nothing leads there",
  );
});
