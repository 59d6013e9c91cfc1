import { changeOf } from "../../../../components/cluster/roll/change";
import type { Roll } from "../../../../components/cluster/roll/roll";
import { honeyduePlatform } from "../../../support/platform";
import { FakeCluster, Killed } from "./fake-cluster";

/** What the engine does for one server: hook, provider, hook. */
async function update(
  cluster: FakeCluster,
  roll: Roll,
  name: string,
  after: Record<string, string>,
  serverType?: { from: string; to: string },
): Promise<void> {
  const machine = cluster.machine(name);
  const labels = { ...machine.labels, ...after };
  if (JSON.stringify(labels) === JSON.stringify(machine.labels) && serverType === undefined) return;
  const change = changeOf(
    { labels: machine.labels, serverType: serverType?.from ?? "cx33" },
    { labels, serverType: serverType?.to ?? "cx33" },
  );
  await roll.beforeUpdate(cluster.node(name), machine.id, change);
  machine.labels = labels;
  await roll.afterUpdate(cluster.node(name), machine.id);
}

/** One `pulumi up` to another definition, as parallel as the engine's default or one step at a time. */
async function up(
  cluster: FakeCluster,
  to: string,
  options: Parameters<FakeCluster["run"]>[1] & { parallel?: number; only?: readonly string[] } = {},
): Promise<readonly string[]> {
  const { parallel = 16, only = ["a", "b", "c"], ...rest } = options;
  const roll = cluster.run(to, rest);
  const errors: string[] = [];
  const noted = async (work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      errors.push(error instanceof Killed ? "killed" : (error as Error).message);
    }
  };
  const one = (name: string): Promise<void> => noted(update(cluster, roll, name, { definition: to }));
  if (parallel > 1) await Promise.all(only.map(one));
  else
    for (const name of only) {
      if (errors.length === 0) await one(name);
    }
  if (errors.length === 0) await noted(roll.settle());
  return errors;
}

const state = (cluster: FakeCluster) =>
  ["a", "b", "c"].map((name) => {
    const { hostname } = cluster.node(name);
    const node = cluster.nodes.get(hostname);
    return `${name} ${node?.definition} ${node?.cordoned === "no" ? "open" : node?.cordoned} ${cluster.members.has(hostname) ? "member" : "alone"}`;
  });

const rebuilds = (cluster: FakeCluster): number[] => ["a", "b", "c"].map((name) => cluster.machine(name).rebuilds);

const NEW = ["a new open member", "b new open member", "c new open member"];
const OLD = ["a old open member", "b old open member", "c old open member"];

describe("a roll", () => {
  test.each([16, 1])(
    "takes the nodes one after the other, and two members vote at all times (parallel %d)",
    async (parallel) => {
      const cluster = new FakeCluster();
      cluster.addPod("api-1", "honeydue-a");
      cluster.addPod("traefik-1", "honeydue-a", { kind: "daemon" });
      expect(await up(cluster, "new", { parallel })).toEqual([]);
      expect(state(cluster)).toEqual(NEW);
      expect(rebuilds(cluster)).toEqual([1, 1, 1]);
      expect(cluster.fewestVoters).toBe(2);
      expect(cluster.leadersLost).toBe(0);
      expect(cluster.journal.filter((line) => /a|honeydue-a$/.test(line)).slice(0, 4)).toEqual([
        "cordon honeydue-a",
        "POST a shutdown",
        "remove member honeydue-a",
        "delete node honeydue-a",
      ]);
    },
  );

  test("cuts the power of a server that does not shut down in time, says so, and goes on", async () => {
    const cluster = new FakeCluster();
    cluster.machine("a").hangs = true;
    expect(await up(cluster, "new", { only: ["a"] })).toEqual([]);
    expect(state(cluster)[0]).toBe(NEW[0]);
    expect(cluster.said).toContain("node a: its server was still on after 60 s: its power was cut");
  });

  test("switches a server on again when etcd does not let its member go", async () => {
    const cluster = new FakeCluster();
    cluster.keepsMembers = true;
    const [error] = await up(cluster, "new", { only: ["a"] });
    expect(error).toMatch(
      /^node a: etcd did not let its member go within 120 s: its member honeydue-a-\w+ is still there$/,
    );
    await cluster.clock.sleep(60);
    expect(cluster.machine("a").status).toBe("running");
    expect(state(cluster)).toEqual(OLD);
    expect(cluster.voters).toBe(3);
  });

  test("touches no node before the one before it has been given back, however many are due at once", async () => {
    const names = ["a", "b", "c", "general-1", "general-2"];
    const cluster = new FakeCluster(honeyduePlatform({ pools: { general: 2 } }));
    await up(cluster, "new", { only: names });
    const touched = cluster.journal.map((line) => names.find((name) => line.split(/ |honeydue-/).includes(name)));
    expect(touched.filter((name, index) => name !== touched[index - 1])).toEqual(names);
  });

  test("touches only the server that was targeted", async () => {
    const cluster = new FakeCluster();
    expect(await up(cluster, "new", { only: ["b"] })).toEqual([]);
    expect(state(cluster)).toEqual([OLD[0], NEW[1], OLD[2]]);
  });

  test("touches no node when only labels of the user's own change", async () => {
    const cluster = new FakeCluster();
    await update(cluster, cluster.run("old"), "a", { team: "payments" });
    expect(cluster.journal).toEqual([]);
  });

  test("tells how far the drain has come", async () => {
    const cluster = new FakeCluster();
    cluster.addPod("api-1", "honeydue-b");
    cluster.addPod("api-2", "honeydue-b", { refusals: 2 });
    expect(await up(cluster, "new", { only: ["b"] })).toEqual([]);
    expect(cluster.said.filter((line) => line.includes("draining"))[0]).toBe(
      "node b: draining: 2 of 2 pods left (honeydue/api-2 may not go yet: its disruption budget allows none), 0 s",
    );
  });

  test("gives a node back when its pods do not leave in time, and touches no other node in that run", async () => {
    const cluster = new FakeCluster();
    cluster.addPod("stuck", "honeydue-a", { refusals: Number.POSITIVE_INFINITY });
    const errors = await up(cluster, "new");
    expect(errors[0]).toBe(
      "node a: its pods did not leave within 600 s: 1 of 1 pods left (honeydue/stuck may not go yet: its disruption budget allows none)",
    );
    expect(errors.slice(1)).toEqual([
      "node b stays as it is: the turn of node a failed in this run. Repair that first, then run pulumi up again",
      "node c stays as it is: the turn of node a failed in this run. Repair that first, then run pulumi up again",
    ]);
    expect(state(cluster)).toEqual(OLD);
  });

  test("stops with the boot's own reason when a node fails to boot, and leaves the others serving", async () => {
    const cluster = new FakeCluster();
    cluster.machine("a").failsRebuilt = "sha256 does not match";
    const [first] = await up(cluster, "new");
    expect(first).toBe("node a: its boot fails, for 120 s now: sha256 does not match");
    expect(state(cluster).slice(1)).toEqual(OLD.slice(1));
    expect(cluster.fewestVoters).toBe(2);
  });

  test("refuses at the gate while another node is not well, and says all of it", async () => {
    const cluster = new FakeCluster();
    cluster.machine("c").broken = "connect ETIMEDOUT";
    cluster.machine("c").labels["definition"] = "new"; // not a part of this change
    const [first] = await up(cluster, "new", { only: ["a"] });
    expect(first).toContain("node a stays as it is, for 4 reasons; nothing was changed on it:");
    expect(first).toContain("node c: its Kubernetes API is not ready: connect ETIMEDOUT");
    expect(first).toContain("node c: it is not Ready: Kubelet stopped posting node status.");
    expect(first).toContain("node c: its etcd member is not a healthy voter");
    expect(first).toContain("without a only 1 of 3 etcd members would be well, and 2 are needed");
    expect(state(cluster)).toEqual(OLD);
    expect(cluster.journal).toEqual([]);
  });

  test("waits at the gate for a disruption budget that clears, and refuses when it does not", async () => {
    const budget = {
      namespace: "honeydue",
      name: "api",
      pods: ["api-1"],
      disruptionsAllowed: 0,
      currentHealthy: 2,
      desiredHealthy: 2,
    };
    const cluster = new FakeCluster();
    cluster.budgets.push({ ...budget, clearsAt: cluster.clock.now() + 30 });
    expect(await up(cluster, "new", { only: ["a"] })).toEqual([]);
    expect(cluster.said).toContain(
      "node a: at the gate: the disruption budget honeydue/api lets no pod go now (2 healthy, 2 wanted); here it covers api-1; waiting 120 s more",
    );
    cluster.budgets.push(budget);
    const [first] = await up(cluster, "new", { only: ["b"] });
    expect(first).toContain("node b stays as it is, for one reason; nothing was changed on it:");
    expect(state(cluster)).toEqual([NEW[0], OLD[1], OLD[2]]);
  });

  test("makes a dead node anew first when the change is due for it as well", async () => {
    const cluster = new FakeCluster();
    cluster.machine("c").broken = "connect ETIMEDOUT";
    expect(await up(cluster, "new", { parallel: 1 })).toEqual([]);
    expect(cluster.journal.filter((line) => line.endsWith("rebuild"))).toEqual([
      "POST c rebuild",
      "POST a rebuild",
      "POST b rebuild",
    ]);
    expect(state(cluster)).toEqual(NEW);
  });

  test("begins with the node in whose turn an earlier run ended, and gives one back that only waits for its cordon to be lifted", async () => {
    const cluster = new FakeCluster();
    cluster.nodes.get("honeydue-c")!.cordoned = "by a roll";
    cluster.nodes.get("honeydue-b")!.cordoned = "by a roll";
    cluster.machine("b").labels["definition"] = "new";
    expect(await up(cluster, "new", { only: ["a", "c"], parallel: 1 })).toEqual([]);
    const order = cluster.journal.filter((line) => /uncordon|rebuild/.test(line));
    expect(order).toEqual(["uncordon honeydue-b", "POST c rebuild", "POST a rebuild"]);
  });

  test("forgets the pods of a node that was dead, once its disk is made anew", async () => {
    const cluster = new FakeCluster();
    cluster.addPod("queue-0", "honeydue-c", { kind: "leaving" });
    cluster.machine("c").broken = "connect ETIMEDOUT";
    expect(await up(cluster, "new", { only: ["c"] })).toEqual([]);
    expect(cluster.pods).toEqual([]);
  });

  test("waits for a node that is joining, instead of wiping it half way", async () => {
    const cluster = new FakeCluster();
    const { hostname } = cluster.node("c");
    const joined = { ...cluster.nodes.get(hostname)!, definition: "new" };
    cluster.nodes.delete(hostname); // its K3s answers, its Node is not there yet
    const sleep = cluster.clock.sleep.bind(cluster.clock);
    let naps = 0;
    jest.spyOn(cluster.clock, "sleep").mockImplementation(async (seconds) => {
      if (++naps === 40) cluster.nodes.set(hostname, joined);
      await sleep(seconds);
    });
    expect(await up(cluster, "new", { only: ["c"] })).toEqual([]);
    expect(cluster.machine("c").rebuilds).toBe(0);
  });

  test("refuses when the quorum is lost, and when no server can be reached", async () => {
    const lost = new FakeCluster();
    lost.machine("b").broken = "connect ETIMEDOUT";
    lost.machine("c").broken = "connect ETIMEDOUT";
    const [first] = await up(lost, "new", { only: ["a"] });
    expect(first).toContain("etcd has lost its quorum and nothing is touched: a: etcd failed; b: connect ETIMEDOUT");
    expect(first).toContain("trivet restore <snapshot>");

    const unreachable = new FakeCluster();
    for (const name of ["a", "b", "c"]) unreachable.machine(name).broken = "no answer in 5 s";
    const [second] = await up(unreachable, "new", { only: ["a"] });
    expect(second).toContain("no server can be reached from here, so nothing is touched");
    expect(second).toContain("trivet:operators");
    expect([...lost.journal, ...unreachable.journal]).toEqual([]);
  });

  test("rebuilds servers that never formed a cluster without a gate: there is nothing to guard", async () => {
    const cluster = new FakeCluster();
    cluster.neverFormed();
    expect(await up(cluster, "new")).toEqual([]);
    expect(state(cluster)).toEqual(NEW);
  });

  test("keeps a node whose disk holds the only copy of kept data, unless the operator lets that go", async () => {
    const cluster = new FakeCluster();
    const claim = "honeydue/data-queue-0";
    cluster.volumes.push({ name: "pvc-1", claim, kept: true, hostname: "honeydue-b" });
    cluster.volumes.push({ name: "pvc-2", claim: "honeydue/scratch", kept: false, hostname: "honeydue-a" });
    const errors = await up(cluster, "new");
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(`node b: its disk holds the only copy of data that is to be kept: claim ${claim}`);
    expect(errors[0]).toContain(`TRIVET_LOSE_KEPT_DATA=${claim} pulumi up`);
    // The gate changed nothing, so the others had their turns.
    expect(state(cluster)).toEqual([NEW[0], OLD[1], NEW[2]]);
    expect(await up(cluster, "new", { mayBeLost: new Set([claim]) })).toEqual([]);
    expect(state(cluster)).toEqual(NEW);
  });

  test("carries on after a run that ended anywhere, rebuilds no node a second time, and never loses the quorum", async () => {
    const whole = new FakeCluster();
    whole.addPod("api-1", "honeydue-a");
    expect(await up(whole, "new")).toEqual([]);
    expect(whole.calls).toBeGreaterThan(100);
    for (let calls = 0; calls < whole.calls; calls += 7) {
      const cluster = new FakeCluster();
      cluster.addPod("api-1", "honeydue-a");
      expect(await up(cluster, "new", { killAfter: calls })).toContain("killed");
      expect([calls, await up(cluster, "new")]).toEqual([calls, []]);
      expect([calls, ...state(cluster)]).toEqual([calls, ...NEW]);
      expect([calls, ...rebuilds(cluster)]).toEqual([calls, 1, 1, 1]);
      expect([calls, cluster.fewestVoters]).toEqual([calls, 2]);
    }
  });
});

test("what an interrupted roll had switched off is back when the change is taken back", async () => {
  const whole = new FakeCluster();
  expect(await up(whole, "new", { only: ["a"] })).toEqual([]);
  const ends = new Set<string>();
  for (let calls = 0; calls < whole.calls; calls++) {
    const cluster = new FakeCluster();
    await up(cluster, "new", { killAfter: calls, only: ["a"] });
    if (cluster.machine("a").rebuilds > 0) break;
    await cluster.clock.sleep(30);
    const { status } = cluster.machine("a");
    ends.add(`${status} ${state(cluster)[0]}`);
    // Out of the cluster it cannot come back by itself; that is told with what to do.
    if (!cluster.nodes.has("honeydue-a")) continue;
    expect([calls, await up(cluster, "old")]).toEqual([calls, []]);
    expect([calls, ...state(cluster)]).toEqual([calls, ...OLD]);
    expect([calls, cluster.machine("a").status, cluster.voters]).toEqual([calls, "running", 3]);
  }
  expect([...ends]).toEqual(
    expect.arrayContaining([
      "running a old by a roll member",
      "off a old by a roll member",
      "off a old by a roll alone",
    ]),
  );
});

const types = { from: "cx33", to: "cx43" };
const resized = ({ labels }: { labels: Record<string, string> }) =>
  changeOf({ labels, serverType: types.from }, { labels, serverType: types.to });

describe("a resize", () => {
  test("drains, lets the provider work, and gives the node back when it is well", async () => {
    const cluster = new FakeCluster();
    const roll = cluster.run("old");
    const machine = cluster.machine("a");
    await roll.beforeUpdate(machine.node, machine.id, resized(machine));
    expect(state(cluster)[0]).toBe("a old by a roll member");
    let second = false;
    const next = update(cluster, roll, "b", {}, types).then(() => (second = true));
    machine.status = "off";
    await cluster.clock.sleep(20);
    expect(second).toBe(false); // it waits for its turn
    machine.status = "running";
    await roll.afterUpdate(machine.node, machine.id);
    await next;
    expect(state(cluster)).toEqual(OLD);
    expect(cluster.fewestVoters).toBe(2);
  });

  test("is refused before anything is touched when the type is sold out, with where it is to be had", async () => {
    const cluster = new FakeCluster();
    cluster.available = false;
    await expect(update(cluster, cluster.run("old"), "a", {}, types)).rejects.toThrow(
      "Hetzner has no cx43 in nbg1 at the moment (only in hel1)",
    );
    expect(cluster.journal).toEqual([]);
  });

  test("that the provider could not do leaves the node running and in scheduling, and the turn goes to nobody", async () => {
    const cluster = new FakeCluster();
    const roll = cluster.run("old");
    const machine = cluster.machine("a");
    await roll.beforeUpdate(machine.node, machine.id, resized(machine));
    machine.status = "off"; // the provider switched it off, and then its order was refused
    await roll.updateFailed(machine.node, machine.id);
    expect(machine.status).toBe("running");
    expect(state(cluster)).toEqual(OLD);
    await expect(update(cluster, roll, "b", {}, types)).rejects.toThrow("the turn of node a failed in this run");
  });

  test("keeps data that is on the node's disk, so it asks nobody about it", async () => {
    const cluster = new FakeCluster();
    cluster.volumes.push({ name: "pvc-1", claim: "honeydue/data-queue-0", kept: true, hostname: "honeydue-a" });
    await update(cluster, cluster.run("old"), "a", {}, types);
    expect(state(cluster)).toEqual(OLD);
  });
});

describe("IPv6", () => {
  const NAMES = ["a", "b", "c"] as const;

  /** The inputs of a node's server. */
  const inputs = (cluster: FakeCluster, name: string, definition: string) => {
    const { ipv4, ipv6 } = cluster.addressesOf({ name });
    return {
      labels: { ...cluster.machine(name).labels, definition },
      publicNets: [
        { ipv4Enabled: true, ipv4, ipv6Enabled: ipv6 !== undefined, ...(ipv6 === undefined ? {} : { ipv6 }) },
      ],
    };
  };

  /** A platform and what the engine knows of it from run to run. Gives the errors of each. */
  const platform = (cluster: FakeCluster) => {
    const remembered = new Map<string, ReturnType<typeof inputs>>(
      NAMES.map((name) => [name, inputs(cluster, name, "old")]),
    );
    return async (to: string, options: Parameters<FakeCluster["run"]>[1] = {}): Promise<readonly string[]> => {
      const roll = cluster.run(to, options);
      const errors: string[] = [];
      const one = async (name: string): Promise<void> => {
        const [machine, before, after] = [cluster.machine(name), remembered.get(name)!, inputs(cluster, name, to)];
        if (JSON.stringify(before) === JSON.stringify(after)) return;
        await roll.beforeUpdate(machine.node, machine.id, changeOf(before, after));
        // The provider cuts the power, whatever the server does, takes its addresses and gives it those that are wanted.
        expect([name, machine.status]).toEqual([name, "off"]);
        const { ipv4, ipv6 } = cluster.addressesOf({ name });
        // What the state does not know it takes for the API's own, and deletes.
        if (ipv6 !== undefined && before.publicNets[0]!.ipv6 === undefined)
          expect([name, machine.addresses.ipv6]).toEqual([name, undefined]);
        machine.addresses = { ipv4, ...(ipv6 === undefined ? {} : { ipv6 }) };
        machine.labels = after.labels;
        await cluster.cloud.send("POST", `/servers/${machine.id}/actions/poweron`);
        remembered.set(name, after);
        await roll.afterUpdate(machine.node, machine.id);
      };
      const noted = async (work: Promise<void>): Promise<void> => {
        try {
          await work;
        } catch (error) {
          errors.push(error instanceof Killed ? "killed" : (error as Error).message);
        }
      };
      await Promise.all(NAMES.map((name) => noted(one(name))));
      if (errors.length === 0) await noted(roll.settle());
      return errors;
    };
  };
  const addresses = (cluster: FakeCluster) =>
    NAMES.map((name) => {
      const { configured, addresses: has } = cluster.machine(name);
      return [name, Object.keys(has), [...configured].sort().join() === Object.values(has).sort().join()];
    });
  const BOTH = NAMES.map((name) => [name, ["ipv4", "ipv6"], true]);
  const IPV4 = NAMES.map((name) => [name, ["ipv4"], true]);

  test("that is switched on is there at the first boot of each new disk, one node at a time; and off the same way", async () => {
    const cluster = new FakeCluster();
    const run = platform(cluster);
    cluster.ipv6 = true;
    expect(await run("new")).toEqual([]);
    expect(addresses(cluster)).toEqual(BOTH);
    expect([state(cluster), rebuilds(cluster)]).toEqual([NEW, [1, 1, 1]]);
    cluster.ipv6 = false;
    expect(await run("old")).toEqual([]);
    expect(addresses(cluster)).toEqual(IPV4);
    expect([state(cluster), rebuilds(cluster)]).toEqual([OLD, [2, 2, 2]]);
    expect([cluster.fewestVoters, cluster.leadersLost]).toEqual([2, 0]);
    expect(await run("old")).toEqual([]);
    expect(rebuilds(cluster)).toEqual([2, 2, 2]);
  });

  test("comes to an end after a run that ended anywhere, without a disk made anew a second time", async () => {
    const whole = new FakeCluster();
    const wholeRun = platform(whole);
    whole.ipv6 = true;
    expect(await wholeRun("new")).toEqual([]);
    for (let calls = 0; calls < whole.calls; calls += 5) {
      const cluster = new FakeCluster();
      const run = platform(cluster);
      cluster.ipv6 = true;
      expect(await run("new", { killAfter: calls })).toContain("killed");
      await cluster.clock.sleep(30); // what it asked for is done meanwhile: a server is off
      expect([calls, await run("new")]).toEqual([calls, []]);
      expect([calls, ...addresses(cluster)]).toEqual([calls, ...BOTH]);
      expect([calls, ...state(cluster), ...rebuilds(cluster)]).toEqual([calls, ...NEW, 1, 1, 1]);
      expect([calls, cluster.fewestVoters]).toEqual([calls, 2]);
    }
  });

  test("is not taken from a server that names lead to", async () => {
    const cluster = new FakeCluster();
    const run = platform(cluster);
    cluster.ipv6 = true;
    expect(await run("new")).toEqual([]);
    const before = cluster.journal.length;
    cluster.ipv6 = false;
    cluster.names = ["www.honeydue.example", "honeydue.example"];
    expect((await run("old"))[0]).toContain(
      "node a stays as it is (IPv6 on -> off): honeydue.example, www.honeydue.example lead to its address 2001:db8:0:2000::1. To do: take",
    );
    expect(cluster.journal.slice(before)).toEqual([]);
    cluster.names = [];
    expect(await run("old")).toEqual([]);
    expect(addresses(cluster)).toEqual(IPV4);
  });

  test("is given by the provider first, and then the disk made anew, where there is no cluster to guard", async () => {
    const cluster = new FakeCluster();
    cluster.neverFormed();
    const roll = cluster.run("new");
    for (const name of NAMES) {
      const machine = cluster.machine(name);
      const before = inputs(cluster, name, "old");
      cluster.ipv6 = true;
      await roll.beforeUpdate(machine.node, machine.id, changeOf(before, inputs(cluster, name, "new")));
      expect([machine.addresses.ipv6, machine.rebuilds]).toEqual([undefined, 0]);
      machine.addresses.ipv6 = cluster.addressesOf({ name }).ipv6!;
      await roll.afterUpdate(machine.node, machine.id);
      cluster.ipv6 = false;
    }
    expect([addresses(cluster), rebuilds(cluster)]).toEqual([BOTH, [1, 1, 1]]);
  });

  test("is not changed together with the generation, nor on a server that is alone", async () => {
    const options = {
      cluster: { generation: 2, restore: undefined },
      consent: { rebuild: "2", restore: undefined },
    };
    const changed = (cluster: FakeCluster, generation: string) => {
      const before = inputs(cluster, "a", "old");
      cluster.ipv6 = true;
      const after = inputs(cluster, "a", "new");
      return changeOf(before, { ...after, labels: { ...after.labels, generation } });
    };
    const three = new FakeCluster();
    await expect(three.run("new", options).beforeUpdate(three.node("a"), 101, changed(three, "2"))).rejects.toThrow(
      "other addresses would switch it off while it boots anew. Change the addresses in a run of its own",
    );
    const { cluster: shape, ...rest } = honeyduePlatform();
    const one = new FakeCluster({
      ...rest,
      cluster: { ...shape, nodes: shape.nodes.slice(0, 1), servers: shape.servers.slice(0, 1) },
    });
    await expect(one.run("new").beforeUpdate(one.node("a"), 101, changed(one, "1"))).rejects.toThrow(
      "it is the only server, and gets its addresses when it is made",
    );
    expect([three.journal, one.journal]).toEqual([[], []]);
  });
});

describe("a server that is gone", () => {
  test("is made again after its stale member and Node were taken out", async () => {
    const cluster = new FakeCluster();
    cluster.addPod("queue-0", "honeydue-c");
    cluster.destroyServer("c");
    const roll = cluster.run("old");
    await roll.beforeCreate(cluster.node("c"));
    const machine = cluster.createServer("c", "old");
    await roll.afterCreate(machine.node, machine.id, "definition=old");
    expect(state(cluster)).toEqual(OLD);
    expect(cluster.pods).toEqual([]);
    expect(cluster.fewestVoters).toBe(2);
  });

  test("is made again before any other node is changed in the same run", async () => {
    const cluster = new FakeCluster();
    cluster.destroyServer("c");
    const roll = cluster.run("new");
    const first = update(cluster, roll, "a", { definition: "new" });
    await roll.beforeCreate(cluster.node("c"));
    const machine = cluster.createServer("c", "new");
    await roll.afterCreate(machine.node, machine.id, "definition=new");
    await first;
    expect(state(cluster)).toEqual([NEW[0], OLD[1], NEW[2]]);
    expect(cluster.fewestVoters).toBe(2);
  });

  test("is not made again while the quorum is lost: it could only begin a second cluster", async () => {
    const cluster = new FakeCluster();
    cluster.destroyServer("b");
    cluster.destroyServer("c");
    await expect(cluster.run("old").beforeCreate(cluster.node("b"))).rejects.toThrow(
      "etcd has lost its quorum and nothing is touched: a: etcd failed; not at Hetzner: b, c",
    );
    expect(cluster.journal).toEqual([]);
  });

  test("is rebuilt after a replacement that the engine made from old user-data", async () => {
    const cluster = new FakeCluster();
    const roll = cluster.run("new");
    cluster.destroyServer("c");
    await roll.beforeCreate(cluster.node("c"));
    const machine = cluster.createServer("c", "old");
    await roll.afterCreate(machine.node, machine.id, "definition=old");
    expect(state(cluster)[2]).toBe("c new open member");
  });

  test("that never existed is made without a word: on a first creation there is nobody to ask", async () => {
    const cluster = new FakeCluster();
    cluster.neverFormed();
    for (const name of ["a", "b", "c"]) cluster.destroyServer(name);
    const roll = cluster.run("old");
    await Promise.all(["a", "b", "c"].map((name) => roll.beforeCreate(cluster.node(name))));
    for (const name of ["a", "b", "c"]) {
      const machine = cluster.createServer(name, "old");
      await roll.afterCreate(machine.node, machine.id, "definition=old");
    }
    await roll.settle();
    expect(state(cluster)).toEqual(OLD);
  });
});

describe("a replacement that the operator asked for", () => {
  test("takes the node out first, and the turn lasts until the new one is well", async () => {
    const cluster = new FakeCluster();
    cluster.addPod("api-1", "honeydue-b");
    const roll = cluster.run("old");
    await roll.prepareReplacement(cluster.node("b"));
    expect(cluster.members.has("honeydue-b")).toBe(false);
    cluster.destroyServer("b");
    await roll.beforeCreate(cluster.node("b"));
    const machine = cluster.createServer("b", "old");
    await roll.afterCreate(machine.node, machine.id, "definition=old# replaced");
    expect(state(cluster)).toEqual(OLD);
    expect(machine.rebuilds).toBe(0);
    expect(cluster.fewestVoters).toBe(2);
  });
});

test("a replacement does not move a node either: its address stays where it is", async () => {
  const cluster = new FakeCluster();
  cluster.machine("b").labels["location"] = "fsn1";
  await expect(cluster.run("old").prepareReplacement(cluster.node("b"))).rejects.toThrow("from fsn1 to nbg1");
  expect(cluster.journal).toEqual([]);
});

describe("a new generation", () => {
  const generation = { cluster: { generation: 2, restore: undefined } };

  test("is refused without the operator's word for this run", async () => {
    const cluster = new FakeCluster();
    await expect(update(cluster, cluster.run("old", generation), "a", { generation: "2" })).rejects.toThrow(
      "trivet rebuild",
    );
    expect(cluster.journal).toEqual([]);
  });

  test("rebuilds all nodes at once with it, once each, whichever the engine begins with", async () => {
    const cluster = new FakeCluster();
    const roll = cluster.run("old", { ...generation, consent: { rebuild: "2", restore: undefined } });
    // One step at a time, as with --parallel 1: no node may wait for another one here.
    for (const name of ["a", "b", "c"]) await update(cluster, roll, name, { generation: "2" });
    expect(rebuilds(cluster)).toEqual([1, 1, 1]);
    expect(cluster.journal.slice(0, 3).sort()).toEqual(["POST a rebuild", "POST b rebuild", "POST c rebuild"]);
  });
});

test("what cannot be done to a server in place is refused, also together with a new generation", async () => {
  const cluster = new FakeCluster();
  const roll = () =>
    cluster.run("old", {
      cluster: { generation: 2, restore: undefined },
      consent: { rebuild: "2", restore: undefined },
    });
  await expect(update(cluster, roll(), "a", { location: "fsn1", generation: "2" })).rejects.toThrow(
    "node a stays as it is (generation 1 -> 2, location nbg1 -> fsn1)",
  );
  await expect(update(cluster, roll(), "a", {}, { from: "cx33", to: "cax31" })).rejects.toThrow(
    "from x86 (cx33) to arm (cax31)",
  );
  await expect(update(cluster, roll(), "a", { generation: "2" }, { from: "cx33", to: "cx43" })).rejects.toThrow(
    "Change the server type in a run of its own",
  );
  expect(cluster.journal).toEqual([]);
});

describe("a restore", () => {
  const restore = { cluster: { generation: 1, restore: "snap-1" }, consent: { rebuild: undefined, restore: "snap-1" } };

  test("switches all servers off before the first is rebuilt, so that none joins the old cluster", async () => {
    const cluster = new FakeCluster();
    const roll = cluster.run("old", restore);
    await update(cluster, roll, "a", { restore: "snap-1" });
    expect(cluster.journal.slice(0, 3).sort()).toEqual(["POST a poweroff", "POST b poweroff", "POST c poweroff"]);
    expect(rebuilds(cluster)).toEqual([1, 1, 1]);
  });

  test("knows servers that come back under the Node of the snapshot, and says on it what they run now", async () => {
    const cluster = new FakeCluster();
    const roll = cluster.run("new", restore);
    for (const name of ["a", "b", "c"]) cluster.destroyServer(name);
    await Promise.all(["a", "b", "c"].map((name) => roll.beforeCreate(cluster.node(name))));
    // The snapshot's cluster, with its Nodes.
    for (const name of ["a", "b", "c"]) cluster.createServer(name, "new").disk.hasData = true;
    expect(state(cluster)).toEqual(OLD);
    await roll.settle();
    expect(state(cluster)).toEqual(NEW);
  });

  test("leaves agents alone, whose disks the cluster that comes back still knows", async () => {
    const cluster = new FakeCluster(honeyduePlatform({ pools: { general: 1 } }));
    const roll = cluster.run("old", restore);
    await update(cluster, roll, "b", { restore: "snap-1" });
    expect(cluster.machine("general-1").rebuilds).toBe(0);
  });

  test("that is taken out of the settings again touches nothing", () => {
    const labels = { definition: "old", generation: "1" };
    const change = changeOf({ labels: { ...labels, restore: "snap-1" } }, { labels });
    expect([change.restore, change.rebuild]).toEqual([undefined, false]);
  });
});

describe("agents", () => {
  test("roll one at a time by the same gate, after the servers, whoever asks first", async () => {
    const cluster = new FakeCluster(honeyduePlatform({ pools: { general: 2 } }));
    cluster.addPod("worker-1", "honeydue-general-1");
    expect(await up(cluster, "new", { only: ["general-1", "general-2", "c", "b", "a"] })).toEqual([]);
    const order = cluster.journal.filter((line) => line.endsWith(" rebuild")).map((line) => line.split(" ")[1]);
    expect(order).toEqual(["c", "b", "a", "general-1", "general-2"]);
    expect(cluster.journal.filter((line) => line.startsWith("remove member"))).toHaveLength(3);
    expect(cluster.fewestVoters).toBe(2);
  });

  test("are known to be back from a resize by their Node, and started again when the provider could not do it", async () => {
    const cluster = new FakeCluster(honeyduePlatform({ pools: { general: 2 } }));
    const roll = cluster.run("old");
    const machine = cluster.machine("general-1");
    await roll.beforeUpdate(machine.node, machine.id, resized(machine));
    expect(cluster.nodes.has("honeydue-general-1")).toBe(false);
    await roll.updateFailed(machine.node, machine.id);
    expect(cluster.journal.at(-1)).toBe("POST general-1 reset");
    expect(cluster.nodes.get("honeydue-general-1")?.cordoned).toBe("no");
  });

  test("are refused another K3s while the servers run the old one", async () => {
    const cluster = new FakeCluster(honeyduePlatform({ pools: { general: 2 } }));
    const [first] = await up(cluster, "new", { only: ["general-1"] });
    expect(first).toContain("node a: it runs K3s v1.36.4+k3s1, and an agent must not run another (v1.36.5+k3s1)");
    expect(cluster.journal).toEqual([]);
  });

  test("that left the model give their pods away before the engine deletes their servers", async () => {
    const cluster = new FakeCluster(honeyduePlatform({ pools: { general: 2 } }));
    cluster.addPod("worker-1", "honeydue-general-2");
    cluster.shrinkTo(honeyduePlatform({ pools: { general: 1 } }));
    await cluster.run("old").settle();
    expect(cluster.pods).toEqual([]);
    expect([...cluster.nodes.keys()]).toEqual(["honeydue-a", "honeydue-b", "honeydue-c", "honeydue-general-1"]);
    expect(cluster.machines.has("honeydue-general-2")).toBe(true); // that is the engine's part
  });
});

test("a node that is not in the cluster is warned of, with what makes it anew", async () => {
  const cluster = new FakeCluster();
  await cluster.access.deleteNode("honeydue-c");
  await cluster.run("old").settle();
  expect(cluster.warned).toEqual([
    "node c is not in the cluster. If it stays so: pulumi config set --path trivet:revisions.c 2, and pulumi up makes it anew",
  ]);
});

test("what an earlier run left cordoned is taken back into scheduling, and nobody else's cordon is touched", async () => {
  const cluster = new FakeCluster();
  cluster.nodes.get("honeydue-a")!.cordoned = "by a roll";
  cluster.nodes.get("honeydue-b")!.cordoned = "by somebody";
  await cluster.run("old").settle();
  expect(state(cluster)).toEqual([OLD[0], "b old by somebody member", OLD[2]]);
});
