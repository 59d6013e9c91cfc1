import { createServer, type Server } from "node:net";
import { gunzipSync } from "node:zlib";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { cloudApi } from "../../../components/cloud-api";
import { cloudOptions } from "../../../components/cloud-options";
import { Cluster } from "../../../components/cluster/cluster";
import { OPERATORS_TOKEN_PATH } from "../../../components/cluster/operators-connector";
import { accessDoors } from "../../../model/access-tcp";
import type { Platform } from "../../../model/platform";
import { freePorts } from "../../../rehearsal/rehearse/free-ports";
import { referencePlatform, stackSettings } from "../../model/platforms.fixture";
import { ofType, only, type Registered, registered, secretValue } from "../../support/mocks";

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
    all = await registered(
      () =>
        new Cluster("hangangjari", {
          platform,
          installation: pulumi.output("00112233445566ff"),
          cloudOptions: cloudOptions({ deleteBeforeReplace: true, hooks: {} }),
          hetzner: cloudApi({ baseUrl: "http://127.0.0.1:1", token: "unused" }),
          namesLeadingTo: () => Promise.resolve([]),
          configSecrets: Object.fromEntries(
            stackSettings("hangangjari").secretNames.map((key) => [key, pulumi.secret(`value of ${key}`)]),
          ),
          access: pulumi.secret({
            tunnelToken: "sentinel-tunnel-token",
            serviceToken: { clientId: "id.access", clientSecret: "sentinel-secret" },
          }),
        }),
    );
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
    for (const { inputs } of servers) {
      const { write_files: files } = parse(secretValue(inputs["userData"]) as string) as {
        write_files: readonly { path: string; encoding?: string; content: string }[];
      };
      const { encoding, content } = files.find(({ path }) => path === OPERATORS_TOKEN_PATH)!;
      expect(encoding === undefined ? content : gunzipSync(Buffer.from(content, "base64")).toString()).toBe(
        "sentinel-tunnel-token",
      );
    }
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
  expect(
    () =>
      new Cluster("hangangjari", {
        platform: referencePlatform("hangangjari"),
        installation: "00112233445566ff",
        cloudOptions: cloudOptions({ deleteBeforeReplace: true, hooks: {} }),
        hetzner: cloudApi({ baseUrl: "http://127.0.0.1:1", token: "unused" }),
        namesLeadingTo: () => Promise.resolve([]),
        configSecrets: {},
      }),
  ).toThrow("behind Cloudflare Access, and nothing leads there");
});
