import { Client, type Json, READ_ONLY_TOKEN, startClient, whileTimeStandsStill } from "./client";

let client: Client;
beforeEach(async () => {
  client = await startClient();
});
afterEach(() => client.emulator.close());

const RULE = { direction: "in", protocol: "tcp", port: "443", source_ips: ["0.0.0.0/0"] };
const SERVER = { server_type: "cx33", image: "debian-12", location: "nbg1" };

describe("a token", () => {
  test("that is wrong or missing is unauthorized, with rate limit headers all the same", async () => {
    const stranger = new Client(client.emulator, "x".repeat(64));
    const answer = await stranger.call("GET", "/servers");
    expect([answer.status, answer.body.error.code, answer.headers.get("ratelimit-limit")]).toEqual([
      401,
      "unauthorized",
      "3600",
    ]);
    expect((await fetch(`${client.emulator.url}/v1/servers`)).status).toBe(401);
  });

  test("that may only read reads, and is refused everything else", async () => {
    const reader = new Client(client.emulator, READ_ONLY_TOKEN);
    expect(await reader.refusal("GET", "/servers")).toBe(200);
    expect(await reader.refusal("POST", "/networks", { name: "n", ip_range: "10.0.0.0/16" })).toBe("token_readonly");
  });

  test("of the wrong length is refused by the emulator's own start", async () => {
    await expect(startClient({ token: "short" })).rejects.toThrow(
      "token has 5 characters; a Hetzner token is 64 letters and digits",
    );
  });
});

describe("rate limit", () => {
  test("answers rate_limit_exceeded when the allowance is used up, and counts down in the headers", async () => {
    const limited = await startClient({ requestsPerHour: 2 });
    try {
      expect((await limited.call("GET", "/servers")).headers.get("ratelimit-remaining")).toBe("1");
      await limited.call("GET", "/servers");
      const answer = await limited.call("GET", "/servers");
      expect([answer.status, answer.body.error.code, answer.headers.get("ratelimit-remaining")]).toEqual([
        429,
        "rate_limit_exceeded",
        "0",
      ]);
      expect(Number(answer.headers.get("ratelimit-reset"))).toBeGreaterThan(Date.now() / 1000);
    } finally {
      await limited.emulator.close();
    }
  });

  test("on demand answers the same, by a fault", async () => {
    client.emulator.faults.add({ effect: "rate-limit" });
    expect(await client.refusal("GET", "/servers")).toBe("rate_limit_exceeded");
  });
});

describe("invalid_input names each wrong field", () => {
  test.each([
    ["a missing field", "/servers", { name: "a", server_type: "cx33" }, ["image"]],
    ["two wrong types", "/servers", { ...SERVER, name: 7, placement_group: "x" }, ["name", "placement_group"]],
    [
      "a nested field",
      "/servers",
      { ...SERVER, name: "a", public_net: { enable_ipv4: "yes" } },
      ["public_net.enable_ipv4"],
    ],
    ["a name that is no host name", "/servers", { ...SERVER, name: "bad_name!" }, ["name"]],
    ["a name of 64 characters", "/servers", { ...SERVER, name: "a".repeat(64) }, ["name"]],
    [
      "user-data of 32 KiB and one byte",
      "/servers",
      { ...SERVER, name: "a", user_data: "x".repeat(32_769) },
      ["user_data"],
    ],
    ["an unknown server type", "/servers", { ...SERVER, name: "a", server_type: "cx99" }, ["server_type"]],
    ["a deprecated server type", "/servers", { ...SERVER, name: "a", server_type: "cx22" }, ["server_type"]],
    [
      "a server type that the location does not sell",
      "/servers",
      { ...SERVER, name: "a", location: "ash" },
      ["location"],
    ],
    ["an unknown image", "/servers", { ...SERVER, name: "a", image: "plan9" }, ["image"]],
    ["an image by the id of the other architecture", "/servers", { ...SERVER, name: "a", image: 114690389 }, ["image"]],
    ["an unknown SSH key", "/servers", { ...SERVER, name: "a", ssh_keys: ["nobody"] }, ["ssh_keys"]],
    [
      "a label value with a space",
      "/networks",
      { name: "n", ip_range: "10.0.0.0/16", labels: { a: "b c" } },
      ["labels"],
    ],
    [
      "a label key with the reserved prefix",
      "/networks",
      { name: "n", ip_range: "10.0.0.0/16", labels: { "hetzner.cloud/a": "" } },
      ["labels"],
    ],
    ["a label that is a number", "/networks", { name: "n", ip_range: "10.0.0.0/16", labels: { a: 1 } }, ["labels.a"]],
    ["a public network", "/networks", { name: "n", ip_range: "8.8.0.0/16" }, ["ip_range"]],
    ["a network with host bits", "/networks", { name: "n", ip_range: "10.0.0.1/16" }, ["ip_range"]],
    ["a rule without a port", "/firewalls", { name: "f", rules: [{ ...RULE, port: null }] }, ["rules.0.port"]],
    ["a rule with a word for a port", "/firewalls", { name: "f", rules: [{ ...RULE, port: "ssh" }] }, ["rules.0.port"]],
    ["an icmp rule with a port", "/firewalls", { name: "f", rules: [{ ...RULE, protocol: "icmp" }] }, ["rules.0.port"]],
    [
      "an inbound rule without a source",
      "/firewalls",
      { name: "f", rules: [{ ...RULE, source_ips: [] }] },
      ["rules.0.source_ips"],
    ],
    [
      "a source with host bits",
      "/firewalls",
      { name: "f", rules: [{ ...RULE, source_ips: ["10.0.0.1/8"] }] },
      ["rules.0.source_ips"],
    ],
    ["51 rules", "/firewalls", { name: "f", rules: Array(51).fill(RULE) }, ["rules"]],
    ["an unknown kind of group", "/placement_groups", { name: "g", type: "together" }, ["type"]],
    [
      "a Primary IP without a place",
      "/primary_ips",
      { name: "i", type: "ipv4", assignee_type: "server" },
      ["location"],
    ],
    ["an SSH key that is none", "/ssh_keys", { name: "k", public_key: "hello" }, ["public_key"]],
  ])("%s", async (_what, path, body, fields) => {
    const answer = await client.call("POST", path, body);
    expect([answer.status, answer.body.error.code]).toEqual([422, "invalid_input"]);
    expect(answer.body.error.details.fields.map(({ name }: { name: string }) => name).sort()).toEqual(fields);
  });

  test("and a removed one is a deprecated_api_endpoint", async () => {
    expect(await client.refusal("POST", "/servers", { ...SERVER, name: "a", datacenter: "nbg1-dc3" })).toBe(
      "deprecated_api_endpoint",
    );
    expect(await client.refusal("GET", "/datacenters")).toBe("deprecated_api_endpoint");
  });
});

describe("names are unique within their kind", () => {
  test.each([
    ["/networks", { name: "same", ip_range: "10.0.0.0/16" }],
    ["/firewalls", { name: "same" }],
    ["/placement_groups", { name: "same", type: "spread" }],
    ["/primary_ips", { name: "same", type: "ipv4", assignee_type: "server", location: "nbg1" }],
    ["/servers", { name: "same", ...SERVER }],
  ])("%s: a second one and a rename to it are a uniqueness_error", async (path, body) => {
    await client.done(await client.post(path, body));
    expect(await client.refusal("POST", path, body)).toBe("uniqueness_error");
    const other = await client.post(path, { ...body, name: "other" });
    const made: { id: number; name?: string }[] = Object.values(other);
    const id = made.find((value) => value?.name === "other")?.id;
    expect(await client.refusal("PUT", `${path}/${id}`, { name: "same" })).toBe("uniqueness_error");
    expect(await client.refusal("PUT", `${path}/${id}`, { name: "other" })).toBe(200);
  });
});

describe("networks", () => {
  test.each([
    ["outside the network", "10.1.0.0/24"],
    ["overlapping an existing one", "10.0.1.128/25"],
    ["with host bits", "10.0.2.1/24"],
    ["too small", "10.0.2.0/31"],
  ])("a subnet %s is invalid_input", async (_what, ip_range) => {
    const network = await client.network();
    const body = { type: "cloud", network_zone: "eu-central", ip_range };
    expect(await client.refusal("POST", `/networks/${network}/actions/add_subnet`, body)).toBe("invalid_input");
  });

  test("two changes at once: the second is a conflict, and works after the first has ended", async () => {
    const network = await client.network();
    const subnet = (n: number) => ({ type: "cloud", network_zone: "eu-central", ip_range: `10.0.${n}.0/24` });
    let first: Json;
    await whileTimeStandsStill(async () => {
      first = await client.post(`/networks/${network}/actions/add_subnet`, subnet(2));
      expect(await client.refusal("POST", `/networks/${network}/actions/add_subnet`, subnet(3))).toBe("conflict");
    });
    await client.done(first);
    expect(await client.refusal("POST", `/networks/${network}/actions/add_subnet`, subnet(3))).toBe(201);
  });

  test("a subnet with servers cannot be deleted, in the words that the provider looks for", async () => {
    const network = await client.network();
    await client.server("a", { networks: [network] });
    const answer = await client.call("POST", `/networks/${network}/actions/delete_subnet`, { ip_range: "10.0.1.0/24" });
    expect(answer.body.error).toMatchObject({
      code: "service_error",
      message: expect.stringContaining("servers are attached"),
    });
  });

  test("a protected network is not deleted", async () => {
    const network = await client.network();
    await client.done(await client.post(`/networks/${network}/actions/change_protection`, { delete: true }));
    expect(await client.refusal("DELETE", `/networks/${network}`)).toBe("protected");
  });

  test.each([
    ["an address in use", "10.0.1.11", "ip_not_available"],
    ["the gateway's", "10.0.0.1", "ip_not_available"],
    ["the subnet's first", "10.0.1.0", "ip_not_available"],
    ["the subnet's last", "10.0.1.255", "ip_not_available"],
    ["one outside every subnet", "10.0.9.9", "ip_not_available"],
    ["no address at all", "nonsense", "invalid_input"],
    ["a free one", "10.0.1.12", 201],
  ])("attaching with %s", async (_what, ip, expected) => {
    const network = await client.network();
    await client.act(await client.server("a"), "attach_to_network", { network, ip: "10.0.1.11" });
    const server = await client.server("b");
    expect(await client.refusal("POST", `/servers/${server.id}/actions/attach_to_network`, { network, ip })).toBe(
      expected,
    );
  });

  test("attaching twice, to an overlapping network, to one without a subnet in the zone", async () => {
    const server = await client.server("a");
    await client.act(server, "attach_to_network", { network: await client.network() });
    const attach = async (network: number) =>
      client.refusal("POST", `/servers/${server.id}/actions/attach_to_network`, { network });
    expect(await attach(await client.network("again", "10.0.0.0/16"))).toBe("networks_overlap");
    expect(await attach(await client.network("empty", "10.2.0.0/16", null))).toBe("no_subnet_available");
    const [{ id }] = (await client.get("/networks?name=net")).networks;
    expect(await attach(id)).toBe("server_already_attached");
  });
});

describe("placement groups", () => {
  test("an eleventh server in a spread group is a placement_error", async () => {
    const roomy = await startClient({ limits: { servers: 20 } });
    try {
      const { placement_group: group } = await roomy.post("/placement_groups", { name: "g", type: "spread" });
      for (let n = 1; n <= 10; n++)
        await roomy.post("/servers", { ...SERVER, name: `s${n}`, placement_group: group.id });
      expect(await roomy.refusal("POST", "/servers", { ...SERVER, name: "s11", placement_group: group.id })).toBe(
        "placement_error",
      );
    } finally {
      await roomy.emulator.close();
    }
  });

  test("a running server does not leave its group, and does not join one", async () => {
    const { placement_group: group } = await client.post("/placement_groups", { name: "g", type: "spread" });
    const inside = await client.server("inside", { placement_group: group.id });
    const outside = await client.server("outside");
    expect(await client.refusal("POST", `/servers/${inside.id}/actions/remove_from_placement_group`)).toBe(
      "placement_error",
    );
    expect(
      await client.refusal("POST", `/servers/${outside.id}/actions/add_to_placement_group`, {
        placement_group: group.id,
      }),
    ).toBe("server_not_stopped");
    await client.act(outside, "poweroff");
    await client.act(outside, "add_to_placement_group", { placement_group: group.id });
    expect((await client.get(`/placement_groups/${group.id}`)).placement_group.servers).toEqual([
      inside.id,
      outside.id,
    ]);
  });

  test("a group with servers is in use", async () => {
    const { placement_group: group } = await client.post("/placement_groups", { name: "g", type: "spread" });
    await client.server("a", { placement_group: group.id });
    expect(await client.refusal("DELETE", `/placement_groups/${group.id}`)).toBe("resource_in_use");
  });
});

describe("firewalls", () => {
  test("a firewall that is applied is in use; applying it again is refused; removing it frees it", async () => {
    const { firewall } = await client.post("/firewalls", { name: "f", rules: [RULE] });
    const server = await client.server("a", { firewalls: [{ firewall: firewall.id }] });
    const target = [{ type: "server", server: { id: server.id } }];
    expect(await client.refusal("DELETE", `/firewalls/${firewall.id}`)).toBe("resource_in_use");
    expect(
      await client.refusal("POST", `/firewalls/${firewall.id}/actions/apply_to_resources`, { apply_to: target }),
    ).toBe("firewall_already_applied");
    await client.done(
      await client.post(`/firewalls/${firewall.id}/actions/remove_from_resources`, { remove_from: target }),
    );
    expect(await client.refusal("DELETE", `/firewalls/${firewall.id}`)).toBe(204);
  });

  test("a server without a public interface cannot have one", async () => {
    const { firewall } = await client.post("/firewalls", { name: "f" });
    const network = await client.network();
    const server = await client.server("a", {
      networks: [network],
      public_net: { enable_ipv4: false, enable_ipv6: false },
    });
    const apply_to = [{ type: "server", server: { id: server.id } }];
    expect(await client.refusal("POST", `/firewalls/${firewall.id}/actions/apply_to_resources`, { apply_to })).toBe(
      "private_net_only_server",
    );
  });

  test("what a label selector applies cannot be removed by hand", async () => {
    const { firewall } = await client.post("/firewalls", {
      name: "f",
      apply_to: [{ type: "label_selector", label_selector: { selector: "role=db" } }],
    });
    const server = await client.server("a", { labels: { role: "db" } });
    expect(server.public_net.firewalls).toEqual([{ id: firewall.id, status: "applied" }]);
    const remove_from = [{ type: "server", server: { id: server.id } }];
    expect(
      await client.refusal("POST", `/firewalls/${firewall.id}/actions/remove_from_resources`, { remove_from }),
    ).toBe("firewall_managed_by_label_selector");
  });
});

describe("Primary IPs", () => {
  const IP = { type: "ipv4", assignee_type: "server", location: "nbg1", auto_delete: false };

  test("one that a server has cannot be given to another, nor taken while the server runs", async () => {
    const { primary_ip: ip } = await client.done(await client.post("/primary_ips", { ...IP, name: "i" }));
    const server = await client.server("a", { public_net: { enable_ipv4: true, enable_ipv6: false, ipv4: ip.id } });
    expect(await client.refusal("POST", "/servers", { ...SERVER, name: "b", public_net: { ipv4: ip.id } })).toBe(
      "primary_ip_assigned",
    );
    expect(await client.refusal("POST", `/primary_ips/${ip.id}/actions/unassign`)).toBe("server_not_stopped");
    expect(await client.refusal("DELETE", `/primary_ips/${ip.id}`)).toBe("server_not_stopped");
    await client.act(server, "poweroff");
    await client.done(await client.post(`/primary_ips/${ip.id}/actions/unassign`));
    expect(await client.refusal("DELETE", `/primary_ips/${ip.id}`)).toBe(204);
    expect(await client.refusal("POST", `/servers/${server.id}/actions/poweron`)).toBe("invalid_input");
  });

  test("a protected one stays; one of the wrong kind or place is refused", async () => {
    const { primary_ip: ip } = await client.done(await client.post("/primary_ips", { ...IP, name: "i" }));
    await client.done(await client.post(`/primary_ips/${ip.id}/actions/change_protection`, { delete: true }));
    expect(await client.refusal("DELETE", `/primary_ips/${ip.id}`)).toBe("protected");
    expect(await client.refusal("POST", "/servers", { ...SERVER, name: "b", public_net: { ipv6: ip.id } })).toBe(
      "primary_ip_version_mismatch",
    );
    expect(
      await client.refusal("POST", "/servers", { ...SERVER, name: "b", location: "fsn1", public_net: { ipv4: ip.id } }),
    ).toBe("primary_ip_datacenter_mismatch");
  });

  test("no more of them than the pool has", async () => {
    const small = await startClient({ publicIpv4Pool: { first: "203.0.113.7", last: "203.0.113.7" } });
    try {
      await small.post("/primary_ips", { ...IP, name: "only" });
      expect(await small.refusal("POST", "/primary_ips", { ...IP, name: "more" })).toBe("resource_unavailable");
    } finally {
      await small.emulator.close();
    }
  });
});

describe("servers", () => {
  test("a sold-out type is resource_unavailable with status 412, shows in server_types, and can come back", async () => {
    client.emulator.stock.setAvailable("cx33", "nbg1", false);
    const answer = await client.call("POST", "/servers", { ...SERVER, name: "a" });
    expect([answer.status, answer.body.error.code]).toEqual([412, "resource_unavailable"]);
    const [type] = (await client.get("/server_types?name=cx33")).server_types;
    expect(
      type.locations.map(({ name, available }: { name: string; available: boolean }) => [name, available]),
    ).toEqual([
      ["fsn1", true],
      ["nbg1", false],
      ["hel1", true],
    ]);
    client.emulator.stock.setAvailable("cx33", "nbg1", true);
    expect(await client.refusal("POST", "/servers", { ...SERVER, name: "a" })).toBe(201);
  });

  test("what is sold out is told and steered from outside too, for types as for hosts of their own", async () => {
    const stock = (body?: object) =>
      fetch(`${client.emulator.url}/_emulator/stock`, {
        method: body === undefined ? "GET" : "PUT",
        headers: { "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    const { placement_group: group } = await client.post("/placement_groups", { name: "g", type: "spread" });
    await client.server("a", { placement_group: group.id });
    expect((await stock({ serverType: "cx43", location: "nbg1", available: false })).status).toBe(200);
    await stock({ location: "nbg1", spreadable: false });
    expect(await (await stock()).json()).toEqual({
      soldOut: [{ serverType: "cx43", location: "nbg1" }],
      crowded: ["nbg1"],
    });
    const [a] = (await client.get("/servers?name=a")).servers;
    await client.act(a, "poweroff");
    const resize = (server_type: string) =>
      client.refusal("POST", `/servers/${a.id}/actions/change_type`, { server_type, upgrade_disk: false });
    expect([await resize("cx43"), await resize("cx53")]).toEqual(["resource_unavailable", "placement_error"]);
    const spread = await client.call("POST", "/servers", { ...SERVER, name: "b", placement_group: group.id });
    expect([spread.status, spread.body.error]).toEqual([
      412,
      { code: "placement_error", message: "error during placement", details: null },
    ]);
    expect(await client.refusal("POST", "/servers", { ...SERVER, name: "b" })).toBe(201);
    await stock({ location: "nbg1", spreadable: true });
    expect(await resize("cx53")).toBe(201);
    expect((await stock({ serverType: "cx99", location: "nbg1", available: false })).status).toBe(400);
  });

  test("one more than the project may have is resource_limit_exceeded, and a refused one leaves nothing behind", async () => {
    const small = await startClient({ limits: { servers: 1 } });
    try {
      await small.server("a");
      expect(await small.refusal("POST", "/servers", { ...SERVER, name: "b" })).toBe("resource_limit_exceeded");
      const { servers, primary_ips: ips } = (await (
        await fetch(`${small.emulator.url}/_emulator/state`)
      ).json()) as Record<string, unknown[]>;
      expect([servers?.length, ips?.length]).toEqual([1, 2]);
    } finally {
      await small.emulator.close();
    }
  });

  test("while an action is under way the server is locked", async () => {
    await whileTimeStandsStill(async () => {
      const { server } = await client.post("/servers", { ...SERVER, name: "a" });
      expect(server.locked).toBe(true);
      for (const action of ["poweroff", "rebuild", "attach_to_network", "change_protection"]) {
        const body = { image: "debian-12", network: 1 };
        expect(await client.refusal("POST", `/servers/${server.id}/actions/${action}`, body)).toBe("locked");
      }
      expect(await client.refusal("DELETE", `/servers/${server.id}`)).toBe("locked");
    });
  });

  test("protection forbids delete and rebuild, and both go together", async () => {
    const server = await client.server("a");
    expect(await client.refusal("POST", `/servers/${server.id}/actions/change_protection`, { delete: true })).toBe(
      "invalid_input",
    );
    await client.act(server, "change_protection", { delete: true, rebuild: true });
    expect(await client.refusal("DELETE", `/servers/${server.id}`)).toBe("protected");
    expect(await client.refusal("POST", `/servers/${server.id}/actions/rebuild`, { image: "debian-12" })).toBe(
      "protected",
    );
  });

  test.each([
    ["a running server", false, "cx43", "server_not_stopped"],
    ["the same type", true, "cx33", "invalid_server_type"],
    ["a smaller disk", true, "cx23", "invalid_server_type"],
    ["the other architecture", true, "cax31", "invalid_server_type"],
    ["a bigger one", true, "cx43", 201],
  ])("change_type: %s", async (_what, isOff, server_type, expected) => {
    const server = await client.server("a");
    if (isOff) await client.act(server, "poweroff");
    expect(
      await client.refusal("POST", `/servers/${server.id}/actions/change_type`, { server_type, upgrade_disk: true }),
    ).toBe(expected);
  });

  test.each([
    ["an image of the other architecture", { image: 1 }, "invalid_input"],
    ["an image that there is not", { image: "debian-99" }, "invalid_input"],
    ["no image", {}, "invalid_input"],
    ["more user-data than a server takes", { image: "debian-12", user_data: "x".repeat(32_769) }, "invalid_input"],
  ])("rebuild: %s is refused, and the server goes on as it was", async (_what, body, expected) => {
    const server = await client.server("a");
    const { images } = await client.get("/images?architecture=arm&name=debian-12");
    const wanted = "image" in body && body.image === 1 ? { image: images[0].id } : body;
    expect(await client.refusal("POST", `/servers/${server.id}/actions/rebuild`, wanted)).toBe(expected);
    const { server: after } = await client.get(`/servers/${server.id}`);
    expect([after.status, after.locked, after.image.name]).toEqual(["running", false, "debian-12"]);
  });

  test("one without any interface cannot start", async () => {
    expect(
      await client.refusal("POST", "/servers", {
        ...SERVER,
        name: "a",
        public_net: { enable_ipv4: false, enable_ipv6: false },
      }),
    ).toBe("invalid_input");
  });
});

test.each([
  "servers",
  "networks",
  "firewalls",
  "placement_groups",
  "primary_ips",
  "ssh_keys",
  "images",
  "server_types",
  "locations",
  "actions",
])("an unknown id in %s is not_found", async (kind) => {
  expect(await client.refusal("GET", `/${kind}/1`.replace("locations/1", "locations/99"))).toBe("not_found");
});

test("malformed JSON is a json_error, and a path that there is not is not_found", async () => {
  const headers = { authorization: `Bearer ${client.token}`, "content-type": "application/json" };
  const malformed = await fetch(`${client.emulator.url}/v1/networks`, { method: "POST", headers, body: "{" });
  expect([malformed.status, ((await malformed.json()) as { error: { code: string } }).error.code]).toEqual([
    400,
    "json_error",
  ]);
  expect(await client.refusal("GET", "/volumes")).toBe("not_found");
});

test("listing all actions was removed from the API", async () => {
  expect(await client.refusal("GET", "/actions")).toBe("deprecated_api_endpoint");
});
