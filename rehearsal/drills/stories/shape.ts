import { askFromPod, askFromServer, USER_DATA_URL } from "../../boot";
import { inventoryOf } from "../inventory";
import type { Story } from "../story";
import { callsSoFar, QUICK } from "./roll";

export const outOfStock: Story = {
  name: "out-of-stock",
  title: "the successor cannot be had: pulumi up refuses before anything is touched",
  stage: "shared",
  async play(scene) {
    const { hetzner } = scene.rehearsal;
    const before = await scene.servers();
    scene.given(`servers of type ${before["a"]?.server_type.name}; Hetzner has no cx53 left in nbg1`);
    hetzner.stock.setAvailable("cx53", "nbg1", false);
    scene.when("the server type is set to cx53");
    const current = before["a"]?.server_type.name;
    await scene.set("serverType", "cx53");
    const since = callsSoFar(scene);
    const up = await scene.up({ args: ["--skip-preview"], environment: QUICK });
    const said = up.errors.join("\n");
    scene.then("pulumi up refuses and names type and location", !up.ok && /cx53/.test(said) && /nbg1/.test(said), said);
    const changed = hetzner.journal
      .entries()
      .slice(since)
      .filter(({ method, path }) => method !== "GET" && path.includes("/servers/"));
    scene.then(
      "no server was touched",
      changed.length === 0,
      changed.map(({ method, path }) => `${method} ${path}`).join("; "),
    );
    hetzner.stock.setAvailable("cx53", "nbg1", true);
    await scene.set("serverType", current);
    await scene.thenWell();
    await scene.thenIdle();
  },
};

export const destroyProtected: Story = {
  name: "destroy-protected",
  title: "pulumi destroy on a protected platform fails before it deletes anything; with protect off it ends cleanly",
  stage: { config: {} },
  async play(scene) {
    const up = await scene.up({ args: ["--skip-preview"] });
    scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
    scene.given("a platform whose setting `protect` is true, as it is by default");
    const before = await inventoryOf(scene.rehearsal);
    scene.when("somebody types pulumi destroy");
    const run = await scene.destroy();
    scene.then(
      "it ends with an error that says what is protected",
      !run.ok && /protect/.test(run.errors.join("\n")),
      run.output.slice(-1_000),
    );
    const after = await inventoryOf(scene.rehearsal);
    scene.must("nothing was deleted in either cloud", before === after);
    await scene.thenWell();

    scene.when("the setting is taken back, and pulumi up carries that into the state");
    await scene.set("protect", false);
    const unprotected = await scene.up({ args: ["--skip-preview"] });
    scene.must("pulumi up ended well", unprotected.ok, unprotected.errors.join("\n"));
    const destroyed = await scene.destroy();
    scene.then("pulumi destroy ended well", destroyed.ok, destroyed.errors.join("\n"));
    const left = [
      ...scene.rehearsal.hetzner.project.servers.values(),
      ...scene.rehearsal.hetzner.project.primaryIps.values(),
    ];
    scene.then(
      "no server and no address is left at Hetzner",
      left.length === 0,
      left.map(({ name }) => name).join(", "),
    );
  },
};

export const pool: Story = {
  name: "pool",
  title: "two agents are added to a pool, and taken away again: pods move, nothing else is touched",
  stage: "shared",
  async play(scene) {
    const before = await scene.servers();
    scene.given("three servers, and a pool named general without agents");
    await scene.startWatch();
    scene.when("the pool's count is set to 2");
    await scene.set("pools.general", 2);
    const out = await scene.up({
      args: ["--skip-preview"],
      environment: { TRIVET_TIME_LIMITS: "period=0.5,boot=90" },
    });
    scene.must("pulumi up ended well", out.ok, out.errors.join("\n"));
    const grown = await scene.servers();
    const agents = Object.values(grown).filter(({ labels }) => labels["role"] === "agent");
    scene.then(
      "two agents of the pool exist",
      agents
        .map(({ name }) => name)
        .sort()
        .join() === "honeydue-general-1,honeydue-general-2",
      Object.keys(grown).join(),
    );
    scene.then(
      "the servers are the same ones",
      ["a", "b", "c"].every((node) => grown[node]?.id === before[node]?.id),
    );
    await scene.thenSoon("their nodes are Ready and are no members of etcd", async () => {
      const nodes = (await scene.nodes()).filter(({ metadata }) => metadata.name.includes("-general-"));
      const ready = nodes.filter(({ status }) =>
        status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True"),
      );
      const members = nodes.filter(({ metadata }) => metadata.labels?.["node-role.kubernetes.io/etcd"] !== undefined);
      return ready.length === 2 && members.length === 0;
    });
    scene.when("the pool's count is set to 0 again");
    await scene.set("pools.general", 0);
    const back = await scene.up({ args: ["--skip-preview"], environment: QUICK });
    scene.must("pulumi up ended well", back.ok, back.errors.join("\n"));
    await scene.thenNobodyNoticed();
    const nodes = (await scene.nodes()).map(({ metadata }) => metadata.name).sort();
    scene.then(
      "the cluster knows the three servers alone",
      nodes.join() === "honeydue-a,honeydue-b,honeydue-c",
      nodes.join(),
    );
    await scene.thenWell();
  },
};

export const singleNode: Story = {
  name: "single-node",
  title: "one server for development: it comes up alone, and production refuses the shape",
  stage: { config: { "trivet:nodes": 1, "trivet:environment": "production" } },
  async play(scene) {
    scene.given("settings with nodes: 1 and environment: production");
    const refused = await scene.preview();
    scene.then(
      "a preview refuses that, before anything is made",
      !refused.ok && /production/.test(refused.output),
      refused.output.slice(-1_000),
    );
    scene.when("the environment is staging");
    await scene.set("environment", "staging");
    const up = await scene.up({ args: ["--skip-preview"], environment: QUICK });
    scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
    scene.then("there is one server", Object.keys(await scene.servers()).join() === "a");
    await scene.thenWell();
    await scene.thenIdle();
  },
};

export const metadata: Story = {
  name: "metadata",
  title: "a pod asks Hetzner's metadata service, where the user-data with all keys is: it gets no answer",
  stage: { config: {} },
  impossible: ({ boot }) =>
    boot
      ? undefined
      : "it needs real network namespaces: npm run rehearse -- --boot --drill metadata, as root on Linux",
  async play(scene) {
    const { booted } = scene.rehearsal;
    scene.given("three servers with a Debian user land each");
    const up = await scene.up({ args: ["--exclude", "**kubernetes**", "--skip-preview"], environment: QUICK });
    scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
    for (const [node, { id }] of Object.entries(await scene.servers())) {
      const pod = await askFromPod(booted!, id, USER_DATA_URL);
      scene.then(`a pod on ${node} gets no answer`, pod.startsWith("refused:"), pod);
      const hostPod = await askFromServer(booted!, id, USER_DATA_URL);
      scene.then(`nor does one in the network of ${node} itself`, hostPod.startsWith("refused:"), hostPod);
    }
    scene.when("node a loses its power and comes back");
    await scene.powerOff("a");
    await scene.powerOn("a");
    const { id } = await scene.server("a");
    await scene.thenSoon(
      "its K3s runs again",
      async () => (await booted!.run(id, "sh", "-c", "systemctl is-active k3s || true")) === "active\n",
    );
    const again = await askFromPod(booted!, id, USER_DATA_URL);
    scene.then("a pod on a gets no answer now either", again.startsWith("refused:"), again);
    await booted!.run(id, "nft", "delete", "table", "inet", "trivet");
    const open = await askFromPod(booted!, id, USER_DATA_URL);
    scene.then("it is the firewall alone that keeps it from the keys", open === "#cloud-config", open);
  },
};
