import { fork } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  AppsV1Api,
  CoreV1Api,
  KubeConfig,
  NetworkingV1Api,
  type V1ConfigMap,
  type V1DaemonSet,
  type V1Pod,
} from "@kubernetes/client-node";
import { parse, stringify } from "yaml";
import { shownToOrigins } from "../rehearsal/emulators/cloudflare";
import { NO_STRAGGLERS, Rehearsal, type RehearsalTools } from "../rehearsal/rehearse/rehearsal";
import { readStack } from "../rehearsal/rehearse/stack";
import type { Tool } from "../rehearsal/toolchain";
import { CLOUDFLARE_ADDRESSES } from "../rehearsal/wire/addresses";
import type { LoadMessage, LoadRequest, LoadResult } from "./edge-load";
import { median } from "./median";

/**
 * What our own hop adds: the real Traefik with the files and arguments that the program rendered for honeyDue, beside the same Traefik
 * with one router and nothing else, on the same server, before the same pods. docs/benchmarks.md has the method.
 */
export interface EdgeBenchOptions {
  tools: RehearsalTools;
  traefik: Tool;
  projectDirectory: string;
  /** How often every way is measured, in turns. */
  rounds: number;
  /** Of one measurement. */
  seconds: number;
  say: (line: string) => void;
}

const HOST = "api.honeydue.example";
/** What Cloudflare asks of origins. */
const ACCEPTED = "gzip, br";
const WARM_SECONDS = 1;
const SETTLE_MILLISECONDS = 120_000;
const ONE = 1;
const MANY = 32;
/** A list as an API answers it; without one an answer has half a KiB. */
const LIST = "/?kib=16";

/** A Traefik to compare with: one that has of our arguments only these. */
interface Compared {
  name: string;
  plainPort: number;
  tlsPort: number;
  statusPort: number;
  ours?: RegExp;
}

const BARE: Compared = { name: "bare", plainPort: 8081, tlsPort: 8443, statusPort: 9281 };
/** What is an option of the whole process takes a process of its own. */
const LOGGING: Compared = { name: "logging", plainPort: 8082, tlsPort: 8444, statusPort: 9282, ours: /^--accessLog/ };
const COUNTING: Compared = { name: "counting", plainPort: 8083, tlsPort: 8445, statusPort: 9283, ours: /^--metrics/ };

/** A way to the pods. */
interface Way {
  name: string;
  request: Omit<LoadRequest, "connections" | "warmSeconds" | "seconds" | "fresh">;
  /** Which Traefik's work is counted: an argument that it alone was started with. */
  mark: string | undefined;
}

interface Measured extends LoadResult {
  /** Processor time of Traefik for one request, of all its threads; undefined where there is none, or where not every request counts. */
  cpuMicroseconds: number | undefined;
}

/** A table: some ways under one kind of load. */
interface Scene {
  title: string;
  connections: number;
  path: string;
  fresh: boolean;
  ways: readonly Way[];
  /** Name of the way that the others are compared with. */
  against: string;
}

export interface SceneResult extends Pick<Scene, "title" | "against" | "fresh"> {
  /** By the name of the way, one for each round. */
  measured: ReadonlyMap<string, readonly Measured[]>;
}

export async function edgeHops(options: EdgeBenchOptions): Promise<readonly SceneResult[]> {
  const { tools, traefik, projectDirectory, rounds, seconds, say } = options;
  const directory = mkdtempSync(join(tmpdir(), "trivet-bench-"));
  const rehearsal = await Rehearsal.open({
    // One server: two more control planes would only take time from what is measured.
    stack: readStack(projectDirectory, "honeydue", { "trivet:environment": "staging", "trivet:nodes": 1 }),
    tools,
    traefik,
    projectDirectory,
    directory,
    environment: NO_STRAGGLERS,
  });
  try {
    const up = await rehearsal.run("up");
    if (!up.ok) throw new Error(up.errors.join("\n") || up.output);
    const scenes = scenesOf(await stage(rehearsal));
    const results = scenes.map(({ title, against, fresh }) => ({
      ...{ title, against, fresh },
      measured: new Map<string, Measured[]>(),
    }));
    for (let round = 0; round < rounds; round++) {
      for (const [index, scene] of scenes.entries()) {
        // Every way goes first once: what comes after another meets a warmer machine.
        for (const way of rotated(scene.ways, round)) {
          const measured = await measure(way, scene, seconds);
          const { measured: all } = results[index]!;
          all.set(way.name, [...(all.get(way.name) ?? []), measured]);
        }
        say(`round ${round + 1} of ${rounds}: ${scene.title}`);
      }
    }
    return results;
  } finally {
    await rehearsal.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Stage {
  server: string;
  pod: string;
  /** What Cloudflare shows the servers of this zone. */
  client: { cert: string; key: string };
  /** Middlewares of the rendered file that a request to the api passes, in their order. */
  middlewares: readonly string[];
}

/** Starts the Traefiks to compare with beside ours, as pods with the same image, mounts and rights, and opens the firewall to them. */
async function stage(rehearsal: Rehearsal): Promise<Stage> {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromString(await rehearsal.kubeconfig());
  const core = kubeconfig.makeApiClient(CoreV1Api);
  const apps = kubeconfig.makeApiClient(AppsV1Api);
  const ours = (await apps.listDaemonSetForAllNamespaces()).items.find(({ metadata }) => metadata?.name === "traefik")!;
  const namespace = ours.metadata!.namespace!;
  const config = await core.readNamespacedConfigMap({ name: "traefik", namespace });
  const file = parse(config.data!["dynamic.yaml"]!) as DynamicFile;

  const apiPods = async (): Promise<readonly V1Pod[]> =>
    (await core.listNamespacedPod({ namespace: "honeydue", labelSelector: "app.kubernetes.io/name=api" })).items;
  await settled("the api", async () => (await apiPods()).every(isReady));
  await settled("the way to it", async () => {
    const visit = await rehearsal.visit(`https://${HOST}/`).catch(() => undefined);
    return visit?.status === 200;
  });
  const addresses = (await apiPods()).map(({ status }) => `${status!.podIP!}:8000`);

  const middlewares = await passed(rehearsal, kubeconfig, ours);
  for (const compared of [BARE, LOGGING, COUNTING]) {
    await core.createNamespacedConfigMap({ namespace, body: bareConfig(compared, file, middlewares, addresses) });
    await core.createNamespacedPod({ namespace, body: barePod(compared, ours) });
    for (const firewall of rehearsal.hetzner.project.firewalls.values())
      for (const port of [compared.plainPort, compared.tlsPort])
        firewall.rules.push({
          direction: "in",
          protocol: "tcp",
          port: String(port),
          source_ips: ["0.0.0.0/0"],
          destination_ips: [],
          description: "bench",
        });
    await settled(`the Traefik "${compared.name}"`, async () =>
      isReady(await core.readNamespacedPod({ name: compared.name, namespace })),
    );
  }
  const shown = shownToOrigins(rehearsal.cloudflare.state.zones[0]!, new Date());
  if (shown === undefined || shown === "shared") throw new Error("Cloudflare shows no certificate of the zone's own");
  return {
    server: rehearsal.nodeAddresses[0]!,
    pod: addresses[0]!,
    client: { cert: shown.certificate, key: shown.privateKey },
    middlewares,
  };
}

interface DynamicFile {
  http: { middlewares: Record<string, object> };
  tls: { stores: object; options: { default: object } };
}

/** What the entry point has for every request, and then what the api's own Ingress asks for. */
async function passed(rehearsal: Rehearsal, kubeconfig: KubeConfig, ours: V1DaemonSet): Promise<readonly string[]> {
  const ingress = await kubeconfig
    .makeApiClient(NetworkingV1Api)
    .readNamespacedIngress({ name: "api", namespace: rehearsal.stack.name });
  const argument = "--entryPoints.public.http.middlewares=";
  const args = ours.spec!.template.spec!.containers[0]!.args!;
  return [
    ...(args
      .find((one) => one.startsWith(argument))
      ?.slice(argument.length)
      .split(",") ?? []),
    ...(ingress.metadata?.annotations?.["traefik.ingress.kubernetes.io/router.middlewares"]?.split(",") ?? []),
  ].map((name) => name.replace(/@file$/, ""));
}

/** A host a middleware, which its requests pass alone, and HOST without any. */
const hostOf = (middleware: string): string => `${middleware}.bench.example`;

function bareConfig(
  { name }: Compared,
  { http, tls }: DynamicFile,
  middlewares: readonly string[],
  addresses: readonly string[],
): V1ConfigMap {
  const router = (host: string, own: readonly string[]): object => ({
    rule: `Host(\`${host}\`)`,
    service: "api",
    ...(own.length > 0 ? { middlewares: own } : {}),
  });
  const dynamic = {
    http: {
      middlewares: Object.fromEntries(middlewares.map((one) => [one, http.middlewares[one]])),
      routers: Object.fromEntries(
        [...middlewares.map((one) => [one, router(hostOf(one), [one])] as const), ["api", router(HOST, [])] as const]
          // On both entry points, as one router cannot speak TLS on one and not on the other.
          .flatMap(([key, one]) => [
            [`${key}-plain`, { ...one, entryPoints: ["plain"] }],
            [`${key}-tls`, { ...one, entryPoints: ["tls"], tls: {} }],
          ]),
      ),
      services: { api: { loadBalancer: { servers: addresses.map((address) => ({ url: `http://${address}` })) } } },
    },
    // The same certificate, and nobody is asked for one.
    tls: { stores: tls.stores },
  };
  return { metadata: { name }, data: { "dynamic.yaml": stringify(dynamic) } };
}

function barePod({ name, plainPort, tlsPort, statusPort, ours: kept }: Compared, ours: V1DaemonSet): V1Pod {
  const { spec } = ours.spec!.template;
  const [container] = spec!.containers;
  const status = `$(SERVER_ADDRESS):${statusPort}`;
  const probe = { httpGet: { path: "/ping", port: statusPort }, periodSeconds: 5 };
  return {
    metadata: { name, labels: { "app.kubernetes.io/component": "ingress" } },
    spec: {
      ...spec!,
      containers: [
        {
          ...container!,
          name,
          args: [
            `--entryPoints.plain.address=:${plainPort}`,
            `--entryPoints.tls.address=:${tlsPort}`,
            `--entryPoints.status.address=${status}`,
            "--ping=true",
            "--ping.entryPoint=status",
            "--providers.file.filename=/etc/traefik/dynamic.yaml",
            "--providers.file.watch=false",
            ...container!.args!.filter((one) => kept?.test(one)),
          ],
          ports: [plainPort, tlsPort, statusPort].map((port) => ({ containerPort: port, hostPort: port })),
          startupProbe: probe,
          readinessProbe: probe,
          livenessProbe: probe,
        },
      ],
      volumes: spec!.volumes!.map((volume) => (volume.configMap ? { ...volume, configMap: { name } } : volume)),
    },
  };
}

function scenesOf({ server, pod, client, middlewares }: Stage): readonly Scene[] {
  const [localAddress = ""] = CLOUDFLARE_ADDRESSES;
  const headers = (host: string): Record<string, string> => ({ host, "accept-encoding": ACCEPTED });
  const plain = (name: string, address: string, mark?: string): Way => ({
    name,
    request: { url: `http://${address}`, headers: headers(HOST) },
    mark,
  });
  const tls = (name: string, { tlsPort, statusPort }: Compared, host = HOST): Way => ({
    name,
    request: {
      url: `https://${server}:${tlsPort}`,
      headers: headers(host),
      tls: { servername: HOST, localAddress },
    },
    mark: `:${statusPort}`,
  });
  const bareTls = tls("Traefik bare, TLS", BARE);
  const ours: Way = {
    name: "Traefik as rendered",
    request: {
      url: `https://${server}:443`,
      headers: headers(HOST),
      tls: { servername: HOST, localAddress, ...client },
    },
    mark: "--entryPoints.public.address=:443",
  };
  const all = [
    plain("straight to the pod", pod),
    plain("Traefik bare, HTTP", `${server}:${BARE.plainPort}`, `:${BARE.statusPort}`),
    bareTls,
    ours,
  ];
  const against = bareTls.name;
  const kept = { fresh: false, against };
  return [
    { title: "one connection, half a KiB", connections: ONE, path: "/", ways: all, ...kept },
    { title: "one connection, a list of 16 KiB", connections: ONE, path: LIST, ways: all, ...kept },
    { title: `${MANY} connections, half a KiB`, connections: MANY, path: "/", ways: all, ...kept },
    {
      title: "a connection for each request",
      connections: ONE,
      path: "/",
      fresh: true,
      ways: [bareTls, ours],
      against,
    },
    {
      title: "one thing alone, a list of 16 KiB",
      connections: ONE,
      path: LIST,
      ways: [
        bareTls,
        ...middlewares.map((one) => tls(one, BARE, hostOf(one))),
        tls("access log", LOGGING),
        tls("metrics", COUNTING),
        ours,
      ],
      ...kept,
    },
  ];
}

async function measure({ request, mark }: Way, scene: Scene, seconds: number): Promise<Measured> {
  const { connections, path, fresh } = scene;
  const pid = mark === undefined ? undefined : processOf(mark);
  const child = fork(join(__dirname, "edge-load.ts"), { execArgv: [...process.execArgv] });
  try {
    let before = 0;
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`the load generator ended with ${code}`)));
      child.on("message", ({ at, result }: LoadMessage) => {
        const now = pid === undefined ? NaN : processorSeconds(pid);
        if (at === "begin") before = now;
        else if (result)
          resolve({
            ...result,
            cpuMicroseconds: pid === undefined || fresh ? undefined : (1e6 * (now - before)) / result.requests,
          });
      });
      const url = new URL(path, request.url).href;
      child.send({ ...request, url, connections, fresh, warmSeconds: WARM_SECONDS, seconds } satisfies LoadRequest);
    });
  } finally {
    child.kill();
  }
}

/** The one process of ours that was started with these words. */
function processOf(mark: string): number {
  const found = readdirSync("/proc").filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const parent = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${entry}/status`, "utf8"))?.[1];
      return Number(parent) === process.pid && readFileSync(`/proc/${entry}/cmdline`, "utf8").includes(mark);
    } catch {
      return false;
    }
  });
  if (found.length !== 1) throw new Error(`${found.length} processes were started with ${mark}`);
  return Number(found[0]);
}

/** Linux counts them in hundredths (USER_HZ), whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100;

function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

const isReady = ({ status }: V1Pod): boolean =>
  status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;

async function settled(what: string, isSettled: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + SETTLE_MILLISECONDS;
  while (!(await isSettled())) {
    if (performance.now() > deadline) throw new Error(`${what}: not there after ${SETTLE_MILLISECONDS / 1000} s`);
    await delay(500);
  }
}

const rotated = <T>(items: readonly T[], by: number): T[] =>
  items.map((_, index) => items[(index + by) % items.length]!);

interface Column {
  title: string;
  of: (one: Measured) => number;
  digits: number;
  /** Where it says something. @default everywhere */
  isShown?: (scene: SceneResult, way: readonly Measured[]) => boolean;
}

const COLUMNS: readonly Column[] = [
  { title: "p50 ms", of: (one) => one.p50Milliseconds, digits: 3 },
  { title: "p95 ms", of: (one) => one.p95Milliseconds, digits: 3 },
  { title: "p99 ms", of: (one) => one.p99Milliseconds, digits: 3 },
  { title: "requests/s", of: (one) => one.perSecond, digits: 0, isShown: ({ fresh }) => !fresh },
  {
    title: "CPU µs",
    of: (one) => one.cpuMicroseconds ?? NaN,
    digits: 0,
    isShown: (_, [first]) => first?.cpuMicroseconds !== undefined,
  },
];

/**
 * Medians over the rounds, each with its ratio to the way that the scene compares with. A ratio is taken within a round, so that what slows
 * the machine for a while slows both sides.
 */
export function renderHops(results: readonly SceneResult[]): string {
  return results
    .flatMap((scene) => {
      const base = scene.measured.get(scene.against)!;
      const cell = (way: readonly Measured[], { of, digits, isShown }: Column): string => {
        if (isShown?.(scene, way) === false) return "–";
        const figure = median(way.map(of)).toFixed(digits);
        return way === base
          ? figure
          : `${figure} (${median(way.map((one, round) => of(one) / of(base[round]!))).toFixed(2)})`;
      };
      return [
        `| ${scene.title} | ${COLUMNS.map(({ title }) => title).join(" | ")} |`,
        `|---${"|---".repeat(COLUMNS.length)}|`,
        ...[...scene.measured].map(
          ([name, way]) => `| ${name} | ${COLUMNS.map((column) => cell(way, column)).join(" | ")} |`,
        ),
        "",
      ];
    })
    .join("\n");
}
