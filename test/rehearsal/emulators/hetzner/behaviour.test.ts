import { type Machine, type MachineHost, startHetznerEmulator } from "../../../../rehearsal/emulators/hetzner";
import { labelSelector } from "../../../../rehearsal/emulators/hetzner/label-selector";
import { Client, type Json, startClient, TOKEN, whileTimeStandsStill } from "./client";

const SERVER = { server_type: "cx33", image: "debian-12", location: "nbg1" };

let client: Client;
let seen: [string, Partial<Machine>][];

beforeEach(async () => {
  seen = [];
  const note = (what: string) => async (machine: Partial<Machine>) => void seen.push([what, structuredClone(machine)]);
  const machineHost: MachineHost = {
    powerOn: note("on"),
    powerOff: note("off"),
    shutdown: note("shutdown"),
    rebuild: note("rebuild"),
    remove: note("remove"),
    interfacesChanged: note("interfaces"),
  };
  client = await startClient({ machineHost });
});
afterEach(() => client.emulator.close());

describe("actions", () => {
  test("are running first, show progress, and then succeed", async () => {
    let answer: Json;
    await whileTimeStandsStill(async (clock) => {
      answer = await client.post("/servers", { ...SERVER, name: "a" });
      const { action, next_actions: next, server } = answer;
      expect([action.command, action.status, action.finished, server.status]).toEqual([
        "create_server",
        "running",
        null,
        "initializing",
      ]);
      expect(next.map(({ command, status }: Json) => [command, status])).toEqual([["start_server", "running"]]);
      clock.advance(6);
      const { action: later } = await client.get(`/actions/${action.id}`);
      expect([later.status, later.progress]).toEqual(["running", 60]);
    });
    await client.done(answer);
    const { action: last } = await client.get(`/actions/${answer.next_actions[0].id}`);
    const { server } = await client.get(`/servers/${answer.server.id}`);
    expect([last.status, last.progress, last.error, server.status]).toEqual(["success", 100, null, "running"]);
  });

  test("are listed by id, sorted by status and id, and only what was asked for", async () => {
    const answer = await client.post("/servers", { ...SERVER, name: "a" });
    await client.network();
    const ids = [answer.next_actions[0].id, answer.action.id];
    const { actions } = await client.get(`/actions?id=${ids[0]}&id=${ids[1]}&sort=status&sort=id`);
    expect(actions.map(({ id }: Json) => id).sort()).toEqual([...ids].sort());
    // One may have ended while the other still runs: the status comes first.
    const keys = actions.map(({ status, id }: Json) => `${status} ${id}`);
    expect(keys).toEqual([...keys].sort());
  });

  test("go on in the next emulator that gets the project", async () => {
    const first = await startClient();
    let answer: Json;
    await whileTimeStandsStill(async () => {
      answer = await first.post("/servers", { ...SERVER, name: "a" });
      await first.emulator.close();
    });
    const second = new Client(await startHetznerEmulator({ token: TOKEN, project: first.emulator.project }));
    try {
      await second.done(answer);
      expect((await second.get("/servers?name=a")).servers).toEqual([expect.objectContaining({ status: "running" })]);
    } finally {
      await second.emulator.close();
    }
  });
});

describe("a server", () => {
  test("with a public interface boots first, and joins its network after", async () => {
    const network = await client.network();
    const server = await client.server("a", { user_data: "#cloud-config" });
    await client.act(server, "attach_to_network", { network, ip: "10.0.1.11" });
    expect(seen.map(([what, { privateNetworks }]) => [what, privateNetworks?.map(({ ip }) => ip)])).toEqual([
      ["on", []],
      ["interfaces", ["10.0.1.11"]],
    ]);
    expect(seen[0]?.[1]).toMatchObject({
      id: server.id,
      userData: "#cloud-config",
      publicIpv4: "203.0.113.11",
      publicIpv6: "2001:db8:0:1::1",
      architecture: "x86",
    });
  });

  test("made stopped does not boot before it is powered on", async () => {
    const network = await client.network();
    const server = await client.server("a", {
      start_after_create: false,
      networks: [network],
      public_net: { enable_ipv4: false, enable_ipv6: false },
    });
    expect([server.status, server.public_net.ipv4, server.private_net[0].ip, seen]).toEqual([
      "off",
      null,
      "10.0.1.1",
      [],
    ]);
    await client.act(server, "poweron");
    expect(seen.map(([what]) => what)).toEqual(["on"]);
  });

  test("keeps its addresses over a rebuild, and runs the new user-data, or the old one where none is given", async () => {
    const server = await client.server("a", { user_data: "one" });
    await client.act(server, "rebuild", { image: "debian-13", user_data: "two" });
    await client.act(server, "rebuild", { image: "debian-13" });
    const after = (await client.get(`/servers/${server.id}`)).server;
    expect([after.public_net, after.image.name, after.status]).toEqual([server.public_net, "debian-13", "running"]);
    expect(seen.map(([what, { userData }]) => [what, userData])).toEqual([
      ["on", "one"],
      ["off", undefined],
      ["rebuild", "two"],
      ["on", "two"],
      ["off", undefined],
      ["rebuild", "two"],
      ["on", "two"],
    ]);
  });

  test("takes as long to be made and rebuilt as was asked for, and is without power all the while", async () => {
    const slow = await startClient({
      serverCreateSeconds: 0.25,
      rebuildSeconds: 0.35,
      machineHost: {
        powerOn: async () => void seen.push(["on", {}]),
        powerOff: async () => void seen.push(["off", {}]),
        shutdown: async () => undefined,
        rebuild: async () => void seen.push(["rebuild", {}]),
        remove: async () => undefined,
      },
    });
    try {
      const took = ({ started, finished }: Json): number => Date.parse(finished) - Date.parse(started);
      const actionOf = async (answer: Json): Promise<Json> => {
        await slow.done(answer);
        return (await slow.get(`/actions/${answer.action.id}`)).action;
      };
      const made = await slow.post("/servers", { ...SERVER, name: "a" });
      expect(took(await actionOf(made))).toBeGreaterThanOrEqual(250);
      const rebuilt = await slow.post(`/servers/${made.server.id}/actions/rebuild`, { image: "debian-13" });
      const { server } = await slow.get(`/servers/${made.server.id}`);
      expect([server.status, server.locked, seen.map(([what]) => what)]).toEqual(["rebuilding", true, ["on", "off"]]);
      expect(took(await actionOf(rebuilt))).toBeGreaterThanOrEqual(350);
      expect(seen.map(([what]) => what)).toEqual(["on", "off", "rebuild", "on"]);
    } finally {
      await slow.emulator.close();
    }
  });

  test("that is to shut down counts as running until its machine is off, though the action has succeeded", async () => {
    let end: () => void = () => undefined;
    let boots = 0;
    const slow = await startClient({
      machineHost: {
        powerOn: async () => void boots++,
        powerOff: async () => end(),
        shutdown: () => new Promise((resolve) => (end = resolve)),
        rebuild: async () => undefined,
        remove: async () => undefined,
      },
    });
    try {
      const server = await slow.server("a");
      const status = async (): Promise<string> => (await slow.get(`/servers/${server.id}`)).server.status;
      await slow.act(server, "shutdown");
      expect(await status()).toBe("running");
      end();
      expect(await status()).toBe("off");
      await slow.act(server, "poweron");
      await slow.act(server, "shutdown");
      await slow.act(server, "poweroff"); // it took somebody too long
      await slow.act(server, "poweron");
      expect([await status(), boots]).toEqual(["running", 3]);
    } finally {
      await slow.emulator.close();
    }
  });

  test("that changes its type keeps a small disk on request, and starts again", async () => {
    const server = await client.server("a");
    await client.act(server, "poweroff");
    await client.act(server, "change_type", { server_type: "cx43", upgrade_disk: false });
    const after = (await client.get(`/servers/${server.id}`)).server;
    expect([after.server_type.name, after.primary_disk_size, after.status]).toEqual(["cx43", 80, "running"]);
    expect(seen.map(([what]) => what)).toEqual(["on", "off", "on"]);
  });

  test("takes its automatic addresses with it, and leaves the others free", async () => {
    const { primary_ip: ip } = await client.done(
      await client.post("/primary_ips", { name: "kept", type: "ipv4", assignee_type: "server", location: "nbg1" }),
    );
    const server = await client.server("a", { public_net: { enable_ipv4: true, enable_ipv6: true, ipv4: ip.id } });
    await client.done(await client.delete(`/servers/${server.id}`));
    const { primary_ips: left } = await client.get("/primary_ips");
    expect(left.map(({ name, assignee_id }: Json) => [name, assignee_id])).toEqual([["kept", null]]);
    expect(await client.refusal("GET", `/servers/${server.id}`)).toBe("not_found");
    expect(seen.at(-1)).toEqual(["remove", { id: server.id }]);
  });

  test("gets a root password only where it has no SSH key", async () => {
    expect((await client.post("/servers", { ...SERVER, name: "a" })).root_password).toMatch(/^.{20}$/);
  });

  test("leaves its networks when one is deleted", async () => {
    const network = await client.network();
    const server = await client.server("a", { networks: [network] });
    await client.delete(`/networks/${network}`);
    expect((await client.get(`/servers/${server.id}`)).server.private_net).toEqual([]);
  });
});

describe("addresses", () => {
  test("come from the pool, lowest first, and return to it", async () => {
    const make = async (name: string) => {
      const body = { name, type: "ipv4", assignee_type: "server", location: "nbg1" };
      return (await client.done(await client.post("/primary_ips", body))).primary_ip;
    };
    const [a, b] = [await make("a"), await make("b")];
    await client.delete(`/primary_ips/${a.id}`);
    expect([a.ip, b.ip, (await make("c")).ip]).toEqual(["203.0.113.11", "203.0.113.12", "203.0.113.11"]);
  });

  test("in a private network come from the subnet that was added last", async () => {
    const network = await client.network();
    await client.done(
      await client.post(`/networks/${network}/actions/add_subnet`, {
        type: "cloud",
        network_zone: "eu-central",
        ip_range: "10.0.7.0/24",
      }),
    );
    expect((await client.server("a", { networks: [network] })).private_net[0].ip).toBe("10.0.7.1");
  });
});

describe("lists", () => {
  beforeEach(async () => {
    for (const [name, env] of [
      ["n1", "prod"],
      ["n2", "test"],
      ["n3", "prod"],
    ] as const) {
      await client.post("/networks", { name, ip_range: "10.0.0.0/16", labels: { env } });
    }
  });
  const names = async (query: string) =>
    (await client.get(`/networks?${query}`)).networks.map(({ name }: Json) => name);

  test.each([
    ["name=n2", ["n2"]],
    ["name=nobody", []],
    ["sort=name:desc", ["n3", "n2", "n1"]],
    ["label_selector=env%3Dprod", ["n1", "n3"]],
    ["label_selector=env!%3Dprod", ["n2"]],
    ["per_page=2", ["n1", "n2"]],
    ["per_page=2&page=2", ["n3"]],
  ])("?%s", async (query, expected) => {
    expect(await names(query)).toEqual(expected);
  });

  test("page by page, with the way to the next", async () => {
    const { meta } = await client.get("/networks?per_page=2");
    expect(meta.pagination).toEqual({
      page: 1,
      per_page: 2,
      previous_page: null,
      next_page: 2,
      last_page: 2,
      total_entries: 3,
    });
  });

  test.each(["sort=colour", "page=0", "per_page=x", "label_selector=a%20b"])("?%s is invalid_input", async (query) => {
    expect(await client.refusal("GET", `/networks?${query}`)).toBe("invalid_input");
  });

  test("images are found by name and architecture, deprecated ones only on request", async () => {
    const { images } = await client.get("/images?name=debian-12&architecture=arm");
    expect(images.map(({ id }: Json) => id)).toEqual([114690389]);
    expect((await client.get("/images?name=debian-11")).images).toEqual([]);
    expect((await client.get("/images?name=debian-11&include_deprecated=true")).images).toHaveLength(2);
  });
});

test.each([
  ["a", { a: "" }, true],
  ["!a", { a: "" }, false],
  ["a=b", { a: "b" }, true],
  ["a==b", { a: "c" }, false],
  ["a!=b", {}, true],
  ["a in (x, y)", { a: "y" }, true],
  ["a notin (x,y)", { a: "z" }, true],
  ["a notin (x,y)", {}, true],
  ["a in (x,y),!b,c=d", { a: "x", c: "d" }, true],
  ["a in (x,y),!b,c=d", { a: "x", b: "", c: "d" }, false],
  ["example.com/role=db", { "example.com/role": "db" }, true],
])("label selector %s on %j is %s", (selector, labels, expected) => {
  expect(labelSelector(selector)(labels as Record<string, string>)).toBe(expected);
});

test("prices: three cx33 with IPv4 in Nuremberg cost 26.97 EUR net a month", async () => {
  const { pricing } = await client.get("/pricing");
  const net = (prices: Json[]) => Number(prices.find(({ location }) => location === "nbg1").price_monthly.net);
  const server = net(pricing.server_types.find(({ name }: Json) => name === "cx33").prices);
  const ipv4 = net(pricing.primary_ips.find(({ type }: Json) => type === "ipv4").prices);
  expect([(3 * (server + ipv4)).toFixed(2), pricing.currency]).toEqual(["26.97", "EUR"]);
});
