import { createHash } from "node:crypto";
import {
  InitFailed,
  type PropertyMap,
  type PropertyValue,
  Secret,
  UNKNOWN,
} from "../../../../rehearsal/providers/protocol/provider";
import { World } from "./world";

let world: World;
beforeEach(async () => {
  world = await World.start();
});
afterEach(() => world.close());

/** An ed25519 public key in OpenSSH form. */
const PUBLIC_KEY = (() => {
  const field = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  return `ssh-ed25519 ${Buffer.concat([field(Buffer.from("ssh-ed25519")), field(Buffer.alloc(32, 1))]).toString("base64")} ops@example`;
})();

const RULE: PropertyMap = {
  direction: "in",
  protocol: "tcp",
  port: "6443",
  sourceIps: ["192.0.2.7", "2001:DB8::/64"],
  description: "api",
};

/** Everything that one cluster node needs, and the inputs of its server. */
async function surroundings(): Promise<PropertyMap> {
  const network = await world.create("Network", { name: "net", ipRange: "10.0.0.0/16" });
  const subnet = await world.create("NetworkSubnet", {
    networkId: Number(network.id),
    type: "cloud",
    networkZone: "eu-central",
    ipRange: "10.0.1.0/24",
  });
  const firewall = await world.create("Firewall", { name: "firewall", rules: [RULE] });
  const group = await world.create("PlacementGroup", { name: "group", type: "spread" });
  const ip = await world.create("PrimaryIp", { name: "ip", type: "ipv4", location: "nbg1", autoDelete: false });
  return {
    name: "node-a",
    serverType: "cx33",
    image: "debian-12",
    location: "nbg1",
    userData: "#cloud-config\n",
    labels: { cluster: "honeydue" },
    firewallIds: [Number(firewall.id)],
    placementGroupId: Number(group.id),
    publicNets: [{ ipv4Enabled: true, ipv4: Number(ip.id), ipv6Enabled: false }],
    networks: [{ subnetId: subnet.id, ip: "10.0.1.11", aliasIps: [] }],
  };
}

describe.each<[string, () => Promise<PropertyMap>, PropertyMap]>([
  ["SshKey", async () => ({ name: "key", publicKey: PUBLIC_KEY, labels: { a: "b" } }), { name: "renamed", labels: {} }],
  [
    "Network",
    async () => ({ name: "net", ipRange: "10.0.0.0/16", labels: { a: "b" } }),
    { labels: { a: "c", d: "" }, exposeRoutesToVswitch: true },
  ],
  [
    "Firewall",
    async () => ({ name: "f", rules: [RULE] }),
    { rules: [RULE, { ...RULE, port: "any", protocol: "udp" }], labels: { a: "b" } },
  ],
  ["PlacementGroup", async () => ({ name: "g", type: "spread" }), { labels: { a: "b" } }],
  ["PrimaryIp", async () => ({ name: "ip", type: "ipv6", location: "nbg1" }), { labels: { a: "b" }, autoDelete: true }],
  ["Server", surroundings, { labels: { cluster: "other" }, serverType: "cx43", networks: [] }],
])("%s", (kind, inputsOf, change) => {
  test("is made, stays as it is, changes, is read, imported, and deleted, twice", async () => {
    const inputs = await inputsOf();
    const made = await world.create(kind, inputs);
    expect((await world.diff(kind, made, inputs)).changes).toBe("none");

    const refreshed = await world.read(kind, made);
    expect(refreshed?.state).toEqual(made.state);
    expect((await world.diff(kind, { ...made, ...refreshed }, inputs)).changes).toBe("none");

    const changed = { ...inputs, ...change };
    const diff = await world.diff(kind, made, changed);
    expect([diff.changes, diff.replaces ?? []]).toEqual(["some", []]);
    const updated = await world.update(kind, made, changed);
    expect((await world.diff(kind, updated, changed)).changes).toBe("none");
    expect((await world.read(kind, updated))?.state).toEqual(updated.state);

    const imported = await world.read(kind, { id: made.id });
    expect(imported?.inputs["name"]).toBe(updated.state["name"]);

    await world.delete(kind, updated);
    expect(await world.read(kind, updated)).toBeUndefined();
    await world.delete(kind, updated);
  });
});

test("a subnet is made, read, imported and deleted; its network may be gone before it", async () => {
  const network = await world.create("Network", { ipRange: "10.0.0.0/16" });
  const inputs = { networkId: Number(network.id), type: "cloud", networkZone: "eu-central", ipRange: "10.0.1.0/24" };
  const made = await world.create("NetworkSubnet", inputs);
  expect([made.id, made.state["gateway"]]).toEqual([`${network.id}-10.0.1.0/24`, "10.0.0.1"]);
  expect((await world.diff("NetworkSubnet", made, inputs)).changes).toBe("none");
  expect((await world.read("NetworkSubnet", { id: made.id }))?.inputs).toMatchObject(inputs);
  await world.delete("NetworkSubnet", made);
  await world.delete("NetworkSubnet", made);
  await world.delete("Network", network);
  expect(await world.read("NetworkSubnet", made)).toBeUndefined();
});

test("a name that the program leaves out is the logical name with seven digits, the real provider's", async () => {
  expect((await world.create("Network", { ipRange: "10.0.0.0/16" })).state["name"]).toBe("example-d1b443e");
});

test("the calls of a server's create are those of the real provider, in its order", async () => {
  const inputs = await surroundings();
  world.calls();
  await world.create("Server", inputs);
  expect(world.calls()).toEqual([
    "GET /server_types",
    "GET /images",
    "GET /placement_groups/{id}",
    "POST /servers",
    "POST /servers/{id}/actions/attach_to_network",
    "GET /servers/{id}",
  ]);
});

test("a server without a public interface is made stopped, attached, then powered on", async () => {
  const { networks } = await surroundings();
  world.calls();
  const made = await world.create("Server", {
    name: "private",
    serverType: "cx33",
    image: "debian-12",
    location: "nbg1",
    networks: networks ?? null,
    publicNets: [{ ipv4Enabled: false, ipv6Enabled: false }],
  });
  expect(world.calls().filter((call) => call.startsWith("POST"))).toEqual([
    "POST /servers",
    "POST /servers/{id}/actions/attach_to_network",
    "POST /servers/{id}/actions/poweron",
  ]);
  expect([made.state["status"], made.state["ipv4Address"], made.state["ipv6Network"]]).toEqual([
    "running",
    "",
    "<nil>",
  ]);
});

test("a server's state has the digest of its user-data, never the text", async () => {
  const made = await world.create("Server", { ...(await surroundings()), userData: new Secret("sentinel") });
  expect(made.state["userData"]).toBe(createHash("sha1").update("sentinel").digest("base64"));
  expect(JSON.stringify(made.state)).not.toContain("sentinel");
});

test("a preview makes no call, and an update's neither", async () => {
  const made = await world.create("Firewall", { name: "f", rules: [RULE] });
  world.calls();
  const inputs = await world.check("Server", {
    serverType: "cx33",
    image: "debian-12",
    placementGroupId: UNKNOWN,
    firewallIds: [UNKNOWN],
  });
  await world.provider.create({ ...world.call("Server"), inputs, timeoutSeconds: 0, preview: true });
  const updated = await world.update("Firewall", made, { name: "f", rules: [] }, true);
  expect([updated.state["rules"], world.calls()]).toEqual([[], []]);
});

describe("drift", () => {
  const api = (method: string, path: string, body: object) =>
    fetch(`${world.emulator.url}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${"t".repeat(64)}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });

  test("a rule that somebody took away is shown after a refresh, and put back", async () => {
    const inputs = { name: "f", rules: [RULE] };
    const made = await world.create("Firewall", inputs);
    await api("POST", `/firewalls/${made.id}/actions/set_rules`, { rules: [] });
    const refreshed = { ...made, ...(await world.read("Firewall", made))! };
    expect(await world.diff("Firewall", { ...refreshed, inputs: made.inputs }, inputs)).toMatchObject({
      changes: "some",
      diffs: ["rules"],
    });
    const repaired = await world.update("Firewall", { ...refreshed, inputs: made.inputs }, inputs);
    expect((repaired.state["rules"] as PropertyValue[]).length).toBe(1);
  });

  test("a server that was detached from its network is shown after a refresh, and attached again with its address", async () => {
    const inputs = await surroundings();
    const made = await world.create("Server", inputs);
    const network = Number(String((inputs["networks"] as PropertyMap[])[0]?.["subnetId"]).split("-")[0]);
    await api("POST", `/servers/${made.id}/actions/detach_from_network`, { network });
    await world.settled();
    const refreshed = { ...made, ...(await world.read("Server", made))!, inputs: made.inputs };
    expect(await world.diff("Server", refreshed, inputs)).toMatchObject({ changes: "some", diffs: ["networks"] });
    const repaired = await world.update("Server", refreshed, inputs);
    expect(repaired.state["networks"]).toMatchObject([{ ip: "10.0.1.11" }]);
  });
});

describe("changes of a server in place", () => {
  const server = async () => {
    const inputs = await surroundings();
    return { inputs, made: await world.create("Server", inputs) };
  };

  test("another type: off, changed, and on again by the API", async () => {
    const { inputs, made } = await server();
    world.calls();
    const { state } = await world.update("Server", made, { ...inputs, serverType: "cx43", keepDisk: true });
    expect(world.calls()).toEqual([
      "GET /servers/{id}",
      "POST /servers/{id}/actions/poweroff",
      "POST /servers/{id}/actions/change_type",
      "GET /servers/{id}",
    ]);
    expect([state["serverType"], state["primaryDiskSize"], state["status"]]).toEqual(["cx43", 80, "running"]);
  });

  test("another private address: detached and attached", async () => {
    const { inputs, made } = await server();
    const [network] = inputs["networks"] as PropertyMap[];
    world.calls();
    const { state } = await world.update("Server", made, { ...inputs, networks: [{ ...network, ip: "10.0.1.99" }] });
    expect(world.calls().filter((call) => call.startsWith("POST"))).toEqual([
      "POST /servers/{id}/actions/detach_from_network",
      "POST /servers/{id}/actions/attach_to_network",
    ]);
    expect(state["networks"]).toMatchObject([{ ip: "10.0.1.99" }]);
  });

  test("IPv6 switched on: off, a new address, and on", async () => {
    const { inputs, made } = await server();
    const [publicNet] = inputs["publicNets"] as PropertyMap[];
    const { state } = await world.update("Server", made, {
      ...inputs,
      publicNets: [{ ...publicNet, ipv6Enabled: true }],
    });
    expect([state["ipv4Address"], state["ipv6Address"], state["status"]]).toEqual([
      "203.0.113.11",
      "2001:db8:0:1::1",
      "running",
    ]);
  });

  describe("a named IPv6 address", () => {
    const ipv6 = (location = "nbg1") => world.create("PrimaryIp", { name: "ipv6", type: "ipv6", location });
    const both = (inputs: PropertyMap, id: string): PropertyMap => {
      const [publicNet] = inputs["publicNets"] as PropertyMap[];
      return { ...inputs, publicNets: [{ ...publicNet, ipv6Enabled: true, ipv6: Number(id) }] };
    };
    const posts = () =>
      world
        .calls()
        .filter((call) => call.startsWith("POST") || call.startsWith("DELETE"))
        .map((call) => call.replace("/actions", ""));
    const CUT = "POST /servers/{id}/poweroff";
    const [TAKE, GIVE, ON] = [
      "POST /primary_ips/{id}/unassign",
      "POST /primary_ips/{id}/assign",
      "POST /servers/{id}/poweron",
    ];

    test("is given with the power cut, and the IPv4 address taken and given again; taken away it is kept", async () => {
      const { inputs, made } = await server();
      const ip = await ipv6();
      expect([ip.state["ipAddress"], ip.state["ipNetwork"]]).toEqual(["2001:db8:0:1::", "2001:db8:0:1::/64"]);
      world.calls();
      const on = await world.update("Server", made, both(inputs, ip.id));
      expect(posts()).toEqual([CUT, TAKE, GIVE, GIVE, ON]);
      expect([on.state["ipv4Address"], on.state["ipv6Address"], on.state["status"]]).toEqual([
        "203.0.113.11",
        "2001:db8:0:1::1",
        "running",
      ]);
      const off = await world.update("Server", on, inputs);
      expect(posts()).toEqual([CUT, TAKE, GIVE, TAKE, ON]);
      expect([off.state["ipv4Address"], off.state["ipv6Address"], off.state["status"]]).toEqual([
        "203.0.113.11",
        "",
        "running",
      ]);
      expect((await world.read("PrimaryIp", ip))?.state["ipAddress"]).toBe("2001:db8:0:1::");
    });

    test("that the server has and its state does not know is taken for the API's own, and deleted", async () => {
      const { inputs, made } = await server();
      const ip = await ipv6();
      await world.update("Server", made, both(inputs, ip.id));
      await expect(world.update("Server", made, both(inputs, ip.id))).rejects.toThrow("not_found");
      expect((await world.read("PrimaryIp", ip))?.state?.["ipAddress"]).toBeUndefined();
      expect((await world.read("Server", made))?.state["status"]).toBe("running");
    });

    test("of another place is refused, and the server on again", async () => {
      const { inputs, made } = await server();
      const ip = await ipv6("fsn1");
      await expect(world.update("Server", made, both(inputs, ip.id))).rejects.toThrow("primary_ip_datacenter_mismatch");
      expect((await world.read("Server", made))?.state["status"]).toBe("running");
    });
  });

  test("a running server does not leave its placement group: the API's placement_error comes through", async () => {
    const { inputs, made } = await server();
    await expect(world.update("Server", made, { ...inputs, placementGroupId: null })).rejects.toThrow(
      "placement_error",
    );
  });

  test("protection makes a delete fail with protected until it is taken away", async () => {
    const inputs = { ...(await surroundings()), deleteProtection: true, rebuildProtection: true };
    const made = await world.create("Server", inputs);
    await expect(world.delete("Server", made)).rejects.toThrow("protected");
    await world.delete(
      "Server",
      await world.update("Server", made, { ...inputs, deleteProtection: false, rebuildProtection: false }),
    );
  });
});

describe("refusals", () => {
  test("come with the API's code, the fields, and the resource", async () => {
    await expect(world.create("Network", { name: "n", ipRange: "8.8.0.0/16" })).rejects.toThrow(
      /creating urn:pulumi:.*Network::example: 1 error occurred:\n\t\* invalid input in field 'ip_range': .*\(invalid_input\)\n- ip_range: /,
    );
  });

  test("an image that is not there, and a server type that is gone, are the provider's own", async () => {
    const inputs = { name: "a", serverType: "cx33", image: "plan9", location: "nbg1" };
    await expect(world.create("Server", inputs)).rejects.toThrow("image plan9 for architecture x86 not found");
    await expect(world.create("Server", { ...inputs, serverType: "cx22" })).rejects.toThrow(
      "deprecated and can no longer be ordered",
    );
  });

  test("a wrong token is unauthorized", async () => {
    await world.provider.configure({
      args: { token: "x".repeat(64), endpoint: `${world.emulator.url}/v1` },
      log: () => {},
    });
    await expect(world.create("Network", { ipRange: "10.0.0.0/16" })).rejects.toThrow("(unauthorized)");
  });

  test("an unknown type names those that there are", async () => {
    await expect(world.check("Volume", {})).rejects.toThrow(
      /no hcloud:index\/volume:Volume; it has .*hcloud:index\/server:Server/,
    );
  });
});

describe("configuration", () => {
  test("comes from the environment where the inputs have none", async () => {
    const { emulator } = world;
    const other = await World.start(
      {},
      { environment: { HCLOUD_TOKEN: "t".repeat(64), HCLOUD_ENDPOINT: `${emulator.url}/v1/` } },
    );
    try {
      await other.provider.configure({ args: {}, log: () => {} });
      await other.create("PlacementGroup", { name: "by-environment", type: "spread" });
      expect(await world.inventory()).toEqual({ placement_groups: 1 });
    } finally {
      await other.close();
    }
  });
});

describe("repetition", () => {
  test.each(["conflict", "rate_limit_exceeded", "timeout"])(
    "%s is tried again, and works the second time",
    async (code) => {
      world.emulator.faults.add({
        route: { method: "POST" },
        effect: "fail",
        status: 409,
        body: { error: { code, message: "later" } },
      });
      await world.create("PlacementGroup", { name: "g", type: "spread" });
      expect(world.calls().filter((call) => call === "POST /placement_groups")).toHaveLength(2);
    },
  );

  test("ends after five more tries", async () => {
    world.emulator.faults.add({ route: { method: "POST" }, nth: "every", effect: "fail", status: 502 });
    await expect(world.create("PlacementGroup", { name: "g", type: "spread" })).rejects.toThrow("bad_gateway");
    expect(world.calls()).toHaveLength(6);
  });

  test("is not for a server error", async () => {
    world.emulator.faults.add({ route: { method: "POST" }, effect: "fail", status: 500 });
    await expect(world.create("PlacementGroup", { name: "g", type: "spread" })).rejects.toThrow("server_error");
  });
});

describe("a connection that breaks", () => {
  test("at a GET is not noticed", async () => {
    const made = await world.create("PlacementGroup", { name: "g", type: "spread" });
    world.emulator.faults.add({ route: { method: "GET" }, effect: "drop-after" });
    expect((await world.read("PlacementGroup", made))?.state).toEqual(made.state);
  });

  test.each<[string, PropertyMap]>([
    ["SshKey", { name: "same", publicKey: PUBLIC_KEY }],
    ["Network", { name: "same", ipRange: "10.0.0.0/16" }],
    ["Firewall", { name: "same" }],
    ["PlacementGroup", { name: "same", type: "spread" }],
    ["PrimaryIp", { name: "same", type: "ipv4", location: "nbg1" }],
    ["Server", { name: "same", serverType: "cx33", image: "debian-12", location: "nbg1" }],
  ])(
    "after the POST of a %s took effect: the create fails, and so does the next, for the name is taken",
    async (kind, inputs) => {
      world.emulator.faults.add({ route: { method: "POST" }, effect: "drop-after" });
      await expect(world.create(kind, inputs)).rejects.toThrow(/Post "http.*: (EOF|connection reset by peer)/);
      await expect(world.create(kind, inputs)).rejects.toThrow("uniqueness_error");
    },
  );

  test("after the POST of a subnet took effect: the next create meets its own subnet", async () => {
    const network = await world.create("Network", { name: "n", ipRange: "10.0.0.0/16" });
    const inputs = { networkId: Number(network.id), type: "cloud", networkZone: "eu-central", ipRange: "10.0.1.0/24" };
    world.emulator.faults.add({ route: { method: "POST" }, effect: "drop-after" });
    await expect(world.create("NetworkSubnet", inputs)).rejects.toThrow("Post");
    await world.settled();
    await expect(world.create("NetworkSubnet", inputs)).rejects.toThrow(
      "overlaps with the existing subnet 10.0.1.0/24",
    );
  });

  test("before a POST took effect: the create fails, and the next works", async () => {
    world.emulator.faults.add({ route: { method: "POST" }, effect: "drop-before" });
    const inputs = { name: "same", type: "spread" };
    await expect(world.create("PlacementGroup", inputs)).rejects.toThrow("Post");
    await world.create("PlacementGroup", inputs);
  });

  test("once the server is known: the engine keeps it as half made; a refresh and an update make it whole", async () => {
    const inputs = await surroundings();
    world.emulator.faults.add({
      route: { method: "POST", pathPattern: "/v1/servers/*/actions/attach_to_network" },
      effect: "drop-before",
    });
    const failure = await world.create("Server", inputs).catch((error: unknown) => error);
    if (!(failure instanceof InitFailed)) throw new Error(`expected InitFailed, got ${String(failure)}`);
    expect(failure.reasons).toEqual([expect.stringContaining("attach_to_network")]);

    const half = { id: failure.id, state: failure.state, inputs: failure.inputs };
    // As the real provider: the state says what was planned, so without a refresh nobody sees what is missing.
    expect((await world.diff("Server", half, inputs)).changes).toBe("none");
    const refreshed = { ...half, ...(await world.read("Server", half))!, inputs: half.inputs };
    const whole = await world.update("Server", refreshed, inputs);
    expect(whole.state["networks"]).toMatchObject([{ ip: "10.0.1.11" }]);
    expect((await world.diff("Server", whole, inputs)).changes).toBe("none");
  });
});

test("data sources tell what can be ordered", async () => {
  world.emulator.stock.setAvailable("cx33", "fsn1", false);
  const answer = await world.provider.invoke!("hcloud:index/getServerType:getServerType", { name: "cx33" });
  if (!("result" in answer)) throw new Error("no result");
  expect(answer.result).toMatchObject({ cores: 4, memory: 8, disk: 80, architecture: "x86", isDeprecated: false });
  const locations = answer.result["locations"] as PropertyMap[];
  expect(locations.map(({ name, available }) => [name, available])).toEqual([
    ["fsn1", false],
    ["nbg1", true],
    ["hel1", true],
  ]);
  const all = await world.provider.invoke!("hcloud:index/getLocations:getLocations", {});
  if (!("result" in all)) throw new Error("no result");
  expect(all.result["names"]).toEqual(["fsn1", "nbg1", "hel1", "ash", "hil", "sin"]);
});
