import { setTimeout as delay } from "node:timers/promises";
import { startConnector } from "../../cloudflared";
import type { KubernetesObject } from "../../k3s/kubernetes-api";
import { describeVisitors, type Visitors } from "../../rehearse/visitors";
import type { Scene } from "../scene";
import type { Story } from "../story";

const NAMESPACE = "edge";
const DEPLOYMENT = "users-connector";
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
/** Through the connectors and Traefik to the service. */
const URL = "https://api.hangangjari.example/";
const STAGE: Story["stage"] = { stack: "hangangjari", config: {}, edge: true, kept: true };

/** After the last probe that would have ended a container, so that its end would be seen. */
const MARGIN_SECONDS = 15;
/** Until the edge notices that a connector is gone. */
const NOTICED_SECONDS = 0.1;
/** So that some of them are the slow ones. */
const REQUESTS_BEFORE = 200;
const POLL_MILLISECONDS = 200;
const AFTERWARDS_MILLISECONDS = 5_000;
/** What an edge without any connector answers: error 1033. */
const NO_CONNECTOR = 530;

interface Connector {
  name: string;
  node: string;
  restarts: number;
  isReady: boolean;
  ends: boolean;
}

type Pod = KubernetesObject & {
  spec: { nodeName?: string };
  status?: {
    conditions?: { type: string; status: string }[];
    containerStatuses?: { restartCount: number }[];
  };
};

async function connectors(scene: Scene): Promise<Connector[]> {
  const { items } = await scene.kubernetes<{ items: Pod[] }>(
    "GET",
    `${PODS}?labelSelector=app.kubernetes.io/name%3D${DEPLOYMENT}`,
  );
  return items.map(({ metadata, spec, status }) => ({
    name: metadata.name,
    node: spec.nodeName ?? "no node",
    restarts: status?.containerStatuses?.[0]?.restartCount ?? 0,
    isReady: (status?.conditions ?? []).some(({ type, status }) => type === "Ready" && status === "True"),
    ends: metadata.deletionTimestamp !== undefined,
  }));
}

const describe = (all: readonly Connector[]): string =>
  all.map(({ name, node, restarts }) => `${name} on ${node} (${restarts} restarts)`).join(", ");

/** As many as before, all ready, none that ends. */
const areSettled = (all: readonly Connector[], count: number): boolean =>
  all.length === count && all.every(({ isReady, ends }) => isReady && !ends);

const tunnelOf = (scene: Scene) => {
  const [account] = scene.rehearsal.cloudflare.state.accounts;
  return account!.tunnels.find(({ name, deletedAt }) => name === scene.rehearsal.stack.name && deletedAt === null)!;
};

/** Four connections each, as Cloudflare counts them. */
const isConnected = (scene: Scene, count: number): boolean => {
  const perConnector = Map.groupBy(tunnelOf(scene).connections, ({ clientId }) => clientId);
  return perConnector.size === count && [...perConnector.values()].every(({ length }) => length === 4);
};

async function given(scene: Scene): Promise<readonly Connector[]> {
  await scene.thenWell();
  const all = await connectors(scene);
  await scene.until("every connector is connected", async () => isConnected(scene, all.length));
  scene.given(`a platform behind a tunnel; its connectors: ${describe(all)}`);
  const nodes = new Set(all.map(({ node }) => node));
  scene.must("they are on different servers", all.length >= 2 && nodes.size === all.length);
  return all;
}

async function thenNoneLost(scene: Scene, visitors: Visitors): Promise<void> {
  const report = await visitors.end();
  scene.then(`${URL}: ${describeVisitors(report)}`, report.requests > 0 && report.lost === 0);
}

const status = async (scene: Scene): Promise<number> => (await scene.rehearsal.visit(URL)).status;

export const connectorLoss: Story = {
  name: "connector-loss",
  title:
    "a connector is deleted, one crashes, the edge is away: what visitors lose, and that no connector is restarted",
  stage: STAGE,
  async play(scene) {
    const [one, ...others] = await given(scene);
    const count = others.length + 1;

    const visitors = scene.rehearsal.startVisitors(URL);
    scene.when(`somebody deletes the connector ${one!.name}`);
    await scene.kubernetes("DELETE", `${PODS}/${one!.name}`);
    await scene.thenSoon("another one takes its place", async () => {
      const all = await connectors(scene);
      return areSettled(all, count) && all.every(({ name }) => name !== one!.name) && isConnected(scene, count);
    });
    await thenNoneLost(scene, visitors);
    await crashOne(scene, count);

    const before = await connectors(scene);
    const patience = await livenessSeconds(scene);
    const seconds = patience + MARGIN_SECONDS;
    scene.when(
      `Cloudflare's edge is away for connectors, for ${seconds} s: liveness probes that fail end a container after ${patience} s`,
    );
    const began = performance.now();
    const outage = await scene.rehearsal.door!.cutTunnels();
    const seen = new Set<number>();
    let readySeconds: number | undefined;
    while (performance.now() - began < seconds * 1000) {
      seen.add(await status(scene));
      if (readySeconds === undefined && (await connectors(scene)).every(({ isReady }) => !isReady))
        readySeconds = (performance.now() - began) / 1000;
      await delay(POLL_MILLISECONDS, undefined, { signal: scene.signal });
    }
    const during = await connectors(scene);
    scene.then(
      `meanwhile every request is answered ${NO_CONNECTOR} by the edge`,
      [...seen].join() === String(NO_CONNECTOR),
      `answers: ${[...seen].join(", ")}`,
    );
    scene.then(
      `every connector says that it is not ready, after ${readySeconds?.toFixed(1) ?? "?"} s`,
      readySeconds !== undefined && during.every(({ isReady }) => !isReady),
    );
    scene.when("the edge is back");
    const back = performance.now();
    await outage.mend();
    await scene.until("a request is answered again", async () => (await status(scene)) === 200);
    const answered = (performance.now() - back) / 1000;
    scene.then(`the first request is answered ${answered.toFixed(1)} s later`, true);
    await scene.thenSoon(
      "every connector has its four connections and is ready",
      async () => isConnected(scene, count) && areSettled(await connectors(scene), count),
    );
    scene.note(`${((performance.now() - back) / 1000).toFixed(1)} s after the edge was back`);
    const after = await connectors(scene);
    scene.then(
      "no connector was restarted",
      identities(after) === identities(before),
      `before: ${describe(before)}; after: ${describe(after)}`,
    );
    const later = scene.rehearsal.startVisitors(URL);
    await delay(AFTERWARDS_MILLISECONDS, undefined, { signal: scene.signal });
    await thenNoneLost(scene, later);
    await scene.thenWell();
    await scene.thenIdle();
  },
};

const identities = (all: readonly Connector[]): string =>
  all
    .map(({ name, restarts }) => `${name} ${restarts}`)
    .sort()
    .join();

/** Nobody can save what a process that is killed has in hand; everything else finds another connector. */
async function crashOne(scene: Scene, count: number): Promise<void> {
  const [victim] = await connectors(scene);
  const visitors = scene.rehearsal.startVisitors(URL);
  await scene.until("visitors are under way", async () => visitors.soFar.requests >= REQUESTS_BEFORE);
  scene.when(`the connector ${victim!.name} crashes`);
  const at = (performance.now() - visitors.began) / 1000;
  scene.crash(victim!.name);
  await scene.thenSoon("it is started again, and connected", async () => {
    const all = await connectors(scene);
    return (
      areSettled(all, count) &&
      isConnected(scene, count) &&
      all.some(({ name, restarts }) => name === victim!.name && restarts === victim!.restarts + 1)
    );
  });
  const report = await visitors.end();
  scene.note(`it crashed ${at.toFixed(2)} s after the first visitor`);
  scene.then(
    `nothing is lost but what was under way through it: ${describeVisitors(report)}`,
    report.requests > REQUESTS_BEFORE &&
      Object.values(report.reasons).every((begun) => begun.every((one) => one < at + NOTICED_SECONDS)),
  );
}

/** How long the kubelet lets a liveness probe fail before it ends the container. */
async function livenessSeconds(scene: Scene): Promise<number> {
  const { spec } = (await scene.kubernetes(
    "GET",
    `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${DEPLOYMENT}`,
  )) as unknown as {
    spec: {
      template: { spec: { containers: { livenessProbe: { periodSeconds: number; failureThreshold: number } }[] } };
    };
  };
  const { periodSeconds, failureThreshold } = spec.template.spec.containers[0]!.livenessProbe;
  return periodSeconds * failureThreshold;
}

/** What connectors run with. A secret: never printed. */
async function tokenOf(scene: Scene): Promise<string> {
  const { data } = (await scene.kubernetes(
    "GET",
    `/api/v1/namespaces/${NAMESPACE}/secrets/tunnel-token`,
  )) as unknown as { data: { token: string } };
  return Buffer.from(data.token, "base64").toString();
}

export const tunnelRotate: Story = {
  name: "tunnel-rotate",
  title: "the tunnel gets another secret under load: connectors roll, no request is lost, the old token opens nothing",
  stage: STAGE,
  async play(scene) {
    const before = await given(scene);
    const [{ id }, token] = [tunnelOf(scene), await tokenOf(scene)];

    const visitors = scene.rehearsal.startVisitors(URL);
    scene.when("its secret is changed");
    const run = await scene.trivet(["tunnel", "rotate", "users", "--yes"]);
    scene.must("trivet tunnel rotate ended well", run.exitCode === 0, run.stderr);
    await scene.thenSoon("every connector is another one, ready and connected", async () => {
      const all = await connectors(scene);
      return (
        areSettled(all, before.length) &&
        all.every(({ name }) => before.every((old) => old.name !== name)) &&
        isConnected(scene, before.length)
      );
    });
    await thenNoneLost(scene, visitors);
    scene.then(
      "it is the same tunnel, with another token",
      tunnelOf(scene).id === id && (await tokenOf(scene)) !== token,
    );

    scene.when("somebody who has the old token starts a connector");
    const [host = "", port] = scene.rehearsal.door!.tunnel.split(":");
    const log: string[] = [];
    const stranger = await startConnector({
      token,
      edge: { host, port: Number(port) },
      log: (_level, message) => log.push(message),
    });
    await scene.thenSoon("the edge refuses it: Unauthorized: Invalid tunnel secret", async () =>
      log.some((line) => line.includes("Unauthorized: Invalid tunnel secret")),
    );
    scene.then("it has no connection", stranger.readyConnections === 0 && isConnected(scene, before.length));
    stranger.kill();
    await scene.thenWell();
    await scene.thenIdle();
  },
};
