import honeydueDefinition from "../../../../stacks/honeydue";
import { honeydueSettings } from "../../../model/honeydue.fixture";
import { pooled } from "../../../model/pooled.fixture";
import { ofKind, subjectOf, subjects, workloadsIn } from "../../../rules/platforms.fixture";

const { manifests } = subjects[0]![1];
const workload = (name: string) => workloadsIn(manifests).find((candidate) => candidate.name === name)!;

test("the api may take 240 s to start, and is asked every five", () => {
  const { startupProbe, readinessProbe, livenessProbe } = workload("api").pod.containers[0]!;
  expect(startupProbe).toMatchObject({ httpGet: { path: "/api/health/live" }, periodSeconds: 5, failureThreshold: 48 });
  expect(readinessProbe).toMatchObject({ httpGet: { path: "/api/health/" }, failureThreshold: 3 });
  expect(livenessProbe).toMatchObject({ httpGet: { path: "/api/health/live" }, failureThreshold: 6 });
});

test("a start-up time that the period does not divide is rounded up, never down", () => {
  const definition = structuredClone(honeydueDefinition);
  Object.assign(definition.services["api"]!.health!, { startsWithinSeconds: 61, periodSeconds: 10 });
  const api = workloadsIn(subjectOf(definition, honeydueSettings).manifests).find(({ name }) => name === "api")!;
  expect(api.pod.containers[0]!.startupProbe).toMatchObject({ periodSeconds: 10, failureThreshold: 7 });
});

test("a roll-out adds a new pod before it takes an old one, and the old one serves until everybody knows", () => {
  const { spec, pod } = workload("api");
  expect(spec["strategy"]).toEqual({ type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } });
  // Not in the types of cdk8s-plus-28: here it shows whether it was dropped on the way.
  expect(pod.containers[0]!.lifecycle).toEqual({ preStop: { sleep: { seconds: 10 } } });
  expect(pod.terminationGracePeriodSeconds).toBe(40);
});

test("Pulumi waits as long as a slow roll-out may take: three times a pull, a start and a look", () => {
  const annotations = (name: string) =>
    ofKind(manifests, "Deployment").find(({ metadata }) => metadata.name === name)!.metadata.annotations;
  expect(annotations("api")).toEqual({ "pulumi.com/timeoutSeconds": "915" });
  expect(annotations("web")).toBeUndefined();
});

test("the registry's login goes with images of that registry, not with Redis or vmagent", () => {
  expect(
    workloadsIn(manifests)
      .filter(({ pod }) => pod.imagePullSecrets !== undefined)
      .map(({ name }) => name)
      .sort(),
  ).toEqual(["admin", "api", "web", "worker"]);
});

test("replicas stand on different servers, and a cordoned or lost server does not count", () => {
  expect((workload("web").pod as unknown as { topologySpreadConstraints: unknown }).topologySpreadConstraints).toEqual([
    {
      maxSkew: 1,
      topologyKey: "kubernetes.io/hostname",
      whenUnsatisfiable: "DoNotSchedule",
      nodeTaintsPolicy: "Honor",
      labelSelector: { matchLabels: { "app.kubernetes.io/name": "web" } },
      matchLabelKeys: ["pod-template-hash"],
    },
  ]);
});

test("a workload of a pool runs on its agents, and tolerates their taints exactly", () => {
  const placed = workloadsIn(subjectOf(pooled, honeydueSettings).manifests).map(({ name, pod }) => {
    const { nodeSelector, tolerations } = pod as unknown as Record<string, unknown>;
    return [name, nodeSelector, tolerations];
  });
  expect(placed.filter(([, , tolerations]) => tolerations !== undefined)).toEqual([
    [
      "worker",
      { "trivet/pool": "batch" },
      [
        { key: "only", operator: "Equal", value: "batch", effect: "NoSchedule" },
        { key: "slow", operator: "Exists", effect: "PreferNoSchedule" },
      ],
    ],
  ]);
});

test("on a single node replicas share it, and no budget keeps it from being drained", () => {
  const { manifests: alone } = subjects.find(([name]) => name === "honeyDue on one server")![1];
  const { spec, pod } = workloadsIn(alone).find(({ name }) => name === "api")!;
  expect(spec["replicas"]).toBe(3);
  expect((pod as unknown as { topologySpreadConstraints: unknown[] }).topologySpreadConstraints).toEqual([
    expect.objectContaining({ topologyKey: "kubernetes.io/hostname", whenUnsatisfiable: "ScheduleAnyway" }),
  ]);
  expect(ofKind(alone, "PodDisruptionBudget")).toEqual([]);
});

test("a pool of one agent is a single node, too", () => {
  const definition = structuredClone(pooled);
  Object.assign(definition.services["api"]!, { pool: "general" });
  const settings = { ...honeydueSettings, values: { ...honeydueSettings.values, pools: { general: 1 } } };
  const { manifests: placed } = subjectOf(definition, settings);
  const budgets = ofKind(placed, "PodDisruptionBudget").map(({ metadata }) => metadata.name);
  expect(budgets).toEqual(["operators-connector", "web"]);
});

test("the worker never runs twice: one pod of a StatefulSet, which waits for the old one to be gone", () => {
  const { kind, replicas, pod } = workload("worker");
  expect([kind, replicas]).toEqual(["StatefulSet", 1]);
  expect(pod.terminationGracePeriodSeconds).toBe(60);
  expect(ofKind(manifests, "Service").map(({ metadata }) => metadata.name)).not.toContain("worker");
});

test("a single pod has no budget, for no server could be drained then", () => {
  expect(ofKind(manifests, "PodDisruptionBudget").map(({ metadata }) => metadata.name)).toEqual([
    "operators-connector",
    "api",
    "web",
  ]);
});

test("passwords arrive as files, other secrets as references", () => {
  const { pod } = workload("api");
  expect(pod.volumes).toContainEqual({
    name: "redis-queue-password",
    secret: { secretName: "redis-queue-password", defaultMode: 0o440, items: [{ key: "password", path: "password" }] },
  });
  expect(pod.containers[0]!.env).toContainEqual({
    name: "SESSION_KEY",
    valueFrom: { secretKeyRef: { name: "api-env", key: "SESSION_KEY" } },
  });
});

test("writes only where the definition says", () => {
  const { pod } = workload("web");
  expect(pod.containers[0]!.volumeMounts).toEqual([
    { name: "writable-0", mountPath: "/tmp" },
    { name: "writable-1", mountPath: "/app/.next/cache" },
  ]);
});

test("the namespace follows the Kubernetes minor it was written for", () => {
  const namespace = ofKind(manifests, "Namespace").find(({ metadata }) => metadata.name === "honeydue")!;
  expect(namespace.metadata.labels).toMatchObject({
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "v1.36",
  });
});
