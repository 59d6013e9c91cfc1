import { type Client, startClient } from "./client";
import { shapeProblems } from "./shape";

let client: Client;
let ids: Record<"network" | "server" | "firewall" | "group" | "ip" | "key" | "action", number>;
let made: Record<string, unknown>;

beforeAll(async () => {
  client = await startClient();
  const network = await client.network();
  const group = await client.post("/placement_groups", { name: "group", type: "spread" });
  const ip = await client.post("/primary_ips", {
    name: "ip",
    type: "ipv4",
    assignee_type: "server",
    location: "nbg1",
    auto_delete: false,
  });
  await client.done(ip);
  const key = await client.post("/ssh_keys", { name: "key", public_key: sshKey("a") });
  const rules = [{ direction: "in", protocol: "tcp", port: "6443", source_ips: ["0.0.0.0/0", "::/0"] }];
  const firewall = await client.post("/firewalls", { name: "firewall", rules, labels: { env: "test" } });
  const server = await client.post("/servers", {
    name: "server",
    server_type: "cx33",
    image: "debian-12",
    location: "nbg1",
    networks: [network],
    firewalls: [{ firewall: firewall.firewall.id }],
    placement_group: group.placement_group.id,
    public_net: { enable_ipv4: true, enable_ipv6: true, ipv4: ip.primary_ip.id },
  });
  made = { server, firewall, group, ip, key };
  await client.done(server);
  ids = {
    network,
    server: server.server.id,
    firewall: firewall.firewall.id,
    group: group.placement_group.id,
    ip: ip.primary_ip.id,
    key: key.ssh_key.id,
    action: server.action.id,
  };
});
afterAll(() => client.emulator.close());

/** An ed25519 public key in OpenSSH form whose 32 bytes are all the given letter. */
function sshKey(letter: string): string {
  const field = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  const blob = Buffer.concat([field(Buffer.from("ssh-ed25519")), field(Buffer.alloc(32, letter))]);
  return `ssh-ed25519 ${blob.toString("base64")} someone@example`;
}

test.each([
  ["ServerCreateResponse", "server"],
  ["FirewallCreateResponse", "firewall"],
  ["PlacementGroupCreateResponse", "group"],
  ["PrimaryIPCreateResponse", "ip"],
  ["SSHKeyCreateResponse", "key"],
])("%s has every field that the official client parses, in its type", (message, key) => {
  expect(shapeProblems(made[key], message)).toEqual([]);
});

test.each([
  ["ServerGetResponse", () => `/servers/${ids.server}`],
  ["NetworkGetResponse", () => `/networks/${ids.network}`],
  ["FirewallGetResponse", () => `/firewalls/${ids.firewall}`],
  ["PlacementGroupGetResponse", () => `/placement_groups/${ids.group}`],
  ["PrimaryIPGetResponse", () => `/primary_ips/${ids.ip}`],
  ["SSHKeyGetResponse", () => `/ssh_keys/${ids.key}`],
  ["ActionGetResponse", () => `/actions/${ids.action}`],
  ["ServerTypeGetResponse", () => "/server_types/115"],
  ["ImageGetResponse", () => "/images/114690387"],
  ["LocationGetResponse", () => "/locations/2"],
  ["PricingGetResponse", () => "/pricing"],
])("GET answers %s with every field that the official client parses, in its type", async (message, path) => {
  const problems = shapeProblems(await client.get(path()), message);
  expect(problems.filter((problem) => !ONLY_OF_SOME_TARGETS.test(problem))).toEqual([]);
});

/** A firewall target has the fields of its own type only. */
const ONLY_OF_SOME_TARGETS = /applied_to\[\d+\]\.(label_selector|applied_to_resources): is missing/;

test.each([
  ["ServerListResponse", "/servers"],
  ["NetworkListResponse", "/networks"],
  ["PlacementGroupListResponse", "/placement_groups"],
  ["PrimaryIPListResponse", "/primary_ips"],
  ["SSHKeyListResponse", "/ssh_keys"],
  ["ServerTypeListResponse", "/server_types"],
  ["ImageListResponse", "/images"],
  ["LocationListResponse", "/locations"],
])("GET answers %s, and the pagination beside it", async (message, path) => {
  const answer = await client.get(path);
  expect(shapeProblems(answer, message)).toEqual([]);
  expect(shapeProblems(answer, "MetaResponse")).toEqual([]);
});

test("no answer shows user-data", async () => {
  const sentinel = "#cloud-config sentinel-7d1f";
  const server = await client.server("with-data", { user_data: sentinel });
  const state = await (await fetch(`${client.emulator.url}/_emulator/state`)).text();
  const journal = await (await fetch(`${client.emulator.url}/_emulator/journal`)).text();
  for (const text of [JSON.stringify(server), state, journal]) expect(text).not.toContain("sentinel-7d1f");
});
