import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProcessRegister } from "../../../rehearsal/k3s/processes";
import { ProcessKubelet } from "../../../rehearsal/pods/kubelet";
import type { Play, PlayedProcess, Stage } from "../../../rehearsal/pods/play";
import { type ControlPlane, startControlPlane } from "../../support/control-plane";

const ADDRESS = "127.64.0.11";
const PORT = 18_080;
const PODS = "/api/v1/namespaces/default/pods";

/** A container of the test: it answers probes as it is told, and ends when the test lets it. */
class Actor implements PlayedProcess {
  readonly ended: Promise<number>;
  readonly stage: Stage;
  status = 503;
  stops: number[] = [];
  end!: (code: number) => void;
  #server: Server | undefined;

  constructor(stage: Stage) {
    this.stage = stage;
    this.ended = new Promise((resolve) => {
      this.end = (code) => {
        this.#server?.closeAllConnections();
        this.#server?.close(() => resolve(code));
      };
    });
  }

  async listen(): Promise<this> {
    this.#server = createServer((_, response) => response.writeHead(this.status).end());
    await new Promise<void>((resolve, reject) => {
      this.#server!.once("error", reject);
      this.#server!.listen(PORT, ADDRESS, resolve);
    });
    return this;
  }

  lastWords(): string[] {
    return ["bye"];
  }

  async stop(graceSeconds: number): Promise<void> {
    this.stops.push(graceSeconds);
    if (graceSeconds === 0) this.end(137);
    await this.ended;
  }
}

let plane: ControlPlane;
let kubelet: ProcessKubelet;
let folder: string;
const actors: Actor[] = [];
const said: string[] = [];
const play: Play = {
  matches: () => true,
  start: async (stage) => {
    const actor = await new Actor(stage).listen();
    actors.push(actor);
    return actor;
  },
};

beforeAll(async () => {
  plane = await startControlPlane({ played: ["ingress"] });
  folder = mkdtempSync(join(tmpdir(), "trivet-kubelet-"));
  kubelet = new ProcessKubelet({
    api: { url: plane.url, authorityPem: plane.certificate, client: { token: "admintoken" } },
    place: {
      name: "n1",
      publicAddress: ADDRESS,
      privateAddress: ADDRESS,
      podCidr: "10.42.0.0/16",
      serviceAddress: "10.43.0.1",
      servesApi: true,
      enter: [],
      unplug: async () => undefined,
      plugInPod: () => Promise.reject(new Error("played in this process: it has every address")),
    },
    plays: [play],
    components: ["ingress"],
    register: new ProcessRegister(join(folder, "register")),
    folder: join(folder, "pods"),
    say: (line) => said.push(line),
  });
});

afterAll(async () => {
  await kubelet?.close();
  await plane?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface SeenPod {
  metadata: { deletionTimestamp?: string };
  status: {
    phase: string;
    podIP?: string;
    conditions?: { type: string; status: string }[];
    containerStatuses?: { ready: boolean; started: boolean; restartCount: number }[];
  };
}
const see = async (name: string): Promise<SeenPod | undefined> =>
  (await plane.call("GET", `${PODS}/${name}`).catch((error: Error) => {
    if (error.message.includes(" 404 ")) return undefined;
    throw error;
  })) as unknown as SeenPod | undefined;
const isReady = (pod: SeenPod | undefined): boolean =>
  pod?.status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;

async function until<T>(what: string, look: () => Promise<T> | T): Promise<NonNullable<T>> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not come; the kubelet said: ${said.join(" | ")}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const create = (name: string, component = "ingress"): Promise<unknown> =>
  plane.call("POST", PODS, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { "app.kubernetes.io/component": component } },
    spec: {
      // Two in the host's network could not have the same port on one node.
      hostNetwork: component === "ingress",
      containers: [
        {
          name: "main",
          image: "example/main:1",
          args: ["--address=$(ADDRESS)"],
          env: [
            { name: "ADDRESS", valueFrom: { fieldRef: { fieldPath: "status.hostIP" } } },
            { name: "WORD", valueFrom: { configMapKeyRef: { name: "settings", key: "word" } } },
          ],
          ports: [{ name: "status", containerPort: PORT }],
          readinessProbe: { httpGet: { path: "/ping", port: "status" }, periodSeconds: 1 },
          volumeMounts: [{ name: "settings", mountPath: "/etc/main" }],
        },
      ],
      volumes: [{ name: "settings", configMap: { name: "settings", defaultMode: 0o400 } }],
    },
  });

test("a pod waits for what it mounts, becomes Ready when its probe says so, and goes when its process has ended", async () => {
  await create("one");
  await until("the reason", () => said.some((line) => line.includes('one: waits: configmap "settings" not found')));
  expect(actors).toHaveLength(0);
  expect((await see("one"))?.status.phase).toBe("Pending");

  const settings = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings" }, data: { word: "hello" } };
  await plane.call("POST", "/api/v1/namespaces/default/configmaps", settings);
  const actor = await until("the process", () => actors[0]);
  const { stage } = actor;
  expect(stage.environment.get("main")).toMatchObject({ ADDRESS, WORD: "hello", KUBERNETES_SERVICE_HOST: "10.43.0.1" });
  const file = join(stage.volumes.at("settings"), "word");
  expect(readFileSync(file, "utf8")).toBe("hello");
  expect(statSync(file).mode & 0o777).toBe(0o400);
  const tokenVolume = stage.pod.spec.volumes!.find(({ name }) => name.startsWith("kube-api-access"))!.name;
  const token = readFileSync(join(stage.volumes.at(tokenVolume), "token"), "utf8");
  const claims = JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()) as Record<string, unknown>;
  expect(claims).toMatchObject({
    sub: "system:serviceaccount:default:default",
    "kubernetes.io": { pod: { name: "one", uid: stage.pod.metadata.uid } },
  });

  await until("phase Running", async () => (await see("one"))?.status.phase === "Running");
  expect(isReady(await see("one"))).toBe(false);
  actor.status = 200;
  await until("Ready", async () => isReady(await see("one")));
  expect((await see("one"))?.status.podIP).toBe(ADDRESS);

  await plane.call("DELETE", `${PODS}/one?gracePeriodSeconds=300`);
  await until("the end's beginning", () => actor.stops.length > 0);
  expect(actor.stops[0]).toBeGreaterThan(200); // what is left when it gets there
  expect(actor.stops[0]).toBeLessThanOrEqual(300);
  // It still works on something: neither kwok nor anybody takes it away.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect((await see("one"))?.metadata.deletionTimestamp).toBeDefined();
  actor.end(0);
  await until("the pod's end", async () => (await see("one")) === undefined);
});

test("what ends by itself is started again, and the port is free for it", async () => {
  actors.length = 0;
  await create("two");
  const first = await until("the process", () => actors[0]);
  first.status = 200;
  await until("Ready", async () => isReady(await see("two")));
  first.end(3);
  const second = await until("the second start", () => actors[1]);
  await until(
    "a restart that is counted",
    async () => (await see("two"))?.status.containerStatuses?.[0]?.restartCount === 1,
  );
  expect(said).toContainEqual("kubelet: two: ended with 3, starts again in 0 s: bye");
  expect(isReady(await see("two"))).toBe(false);
  second.status = 200;
  await until("Ready again", async () => isReady(await see("two")));
});

test("pods of other components stay kwok's", async () => {
  actors.length = 0;
  await create("three", "store");
  await until("Ready", async () => isReady(await see("three")));
  expect(actors).toHaveLength(0);
});
