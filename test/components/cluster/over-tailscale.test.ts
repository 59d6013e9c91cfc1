import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { TAILNET_KEY_PATH } from "../../../components/cluster/tailnet";
import { Tailnet } from "../../../rehearsal/tailnet";
import { referencePlatform } from "../../model/platforms.fixture";
import { ofType, only, type Registered, registered, secretValue } from "../../support/mocks";
import { buildCluster } from "./cluster.fixture";
import { cloudConfigIn, fileIn } from "./user-data.fixture";

const FIREWALL = "hcloud:index/firewall:Firewall";
const SERVER = "hcloud:index/server:Server";
const PROVIDER = "pulumi:providers:kubernetes";

const PATH = process.env["PATH"];
const platform = referencePlatform("farm");
const { name, tag, devices } = platform.edge.operators!.tailnet!;
let folder: string;
let tailnet: Tailnet;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trivet-tailnet-"));
  tailnet = new Tailnet({ name, key: "tskey-auth-1", folder });
  process.env["PATH"] = `${folder}:${PATH}`;
});
afterEach(() => {
  process.env["PATH"] = PATH;
  rmSync(folder, { recursive: true, force: true });
});

const farm = (): Promise<readonly Registered[]> => registered(() => buildCluster(platform));
const clusterIn = (all: readonly Registered[]): object => {
  const kubeconfig = parse(secretValue(only(all, PROVIDER, "farm").inputs["kubeconfig"]) as string) as {
    clusters: readonly { cluster: object }[];
  };
  return kubeconfig.clusters[0]!.cluster;
};

test("a cluster that is reached over Tailscale opens no port to operators, and gives its servers the key as a secret", async () => {
  const all = await farm();
  const rules = only(all, FIREWALL, "farm-firewall").inputs["rules"] as readonly { port: string }[];
  expect(rules.map(({ port }) => port)).toEqual(["443"]);
  const servers = ofType(all, SERVER);
  expect(servers).toHaveLength(3);
  for (const { inputs } of servers)
    expect(fileIn(cloudConfigIn(secretValue(inputs["userData"]) as string), TAILNET_KEY_PATH)?.content).toBe(
      "value of tailscaleAuthKey\n",
    );
});

test("its kubeconfig leads to where the server is now, and checks it by its name in the tailnet", async () => {
  tailnet.login({ hostname: devices[0]!.hostname, tag, address: "127.52.63.11", key: "tskey-auth-1" });
  expect(clusterIn(await farm())).toMatchObject({
    server: "https://127.52.63.11:6443",
    "tls-server-name": "farm-a.farm-example.ts.net",
  });
});

test("before any server has joined a preview has its name", async () => {
  expect(clusterIn(await farm())).toMatchObject({ server: "https://farm-a.farm-example.ts.net:6443" });
});

test("a preview on a computer without Tailscale shows what it can", async () => {
  process.env["PATH"] = "/nowhere";
  expect(clusterIn(await farm())).toMatchObject({ server: "https://farm-a.farm-example.ts.net:6443" });
});
