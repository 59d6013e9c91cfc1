/**
 * What is waited for, how it is shown and how it ends. The cases share a namespace and run side by side, as they were
 * recorded; the provider's clock runs faster than the wall's, so that time limits need not be sat through.
 */

import { startControlPlane, type ControlPlane } from "../../../support/control-plane";
import { cases, isFields, type Case, type Fields, type Step, type Value } from "./recording";
import { Replay } from "./replay";
import { expectMet } from "./unmet";
import { gone, makeNamespace, makeWidgets } from "./world";

const NAMESPACE = "contract-d";
/** At a time: two cores serve the control plane as well. */
const PARALLEL = 12;

const played = cases.filter(({ id }) => id.startsWith("await/"));

/** How much faster time limits run; what a real controller has to do in between takes as long as it takes. */
const speedOf = (id: string): number => {
  if (id === "await/pvc/pending") return 100;
  if (id.startsWith("await/service/")) return 5;
  return 2;
};

let plane: ControlPlane;

const wait = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

const pod = (app: string): Promise<unknown> =>
  plane.call("POST", `/api/v1/namespaces/${NAMESPACE}/pods`, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `pod-${app}`, labels: { app } },
    spec: { containers: [{ name: "c", image: "registry.example/app:1" }] },
  });

const service = (name: string): Promise<unknown> =>
  plane.call("POST", `/api/v1/namespaces/${NAMESPACE}/services`, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name },
    spec: { selector: { app: name }, ports: [{ port: 80 }] },
  });

const giveAddress = (path: string): Promise<unknown> =>
  plane.call("PATCH", `${path}/status`, { status: { loadBalancer: { ingress: [{ ip: "203.0.113.5" }] } } }, "application/merge-patch+json"); // prettier-ignore

const INGRESSES = `/apis/networking.k8s.io/v1/namespaces/${NAMESPACE}/ingresses`;

/** Retries, for an object that is only about to be made. */
const eventually = async (act: () => Promise<unknown>): Promise<void> => {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    try {
      await act();
      return;
    } catch {
      await wait(100);
    }
  }
};

/** What is true before a case. */
const BEFORE: Readonly<Record<string, () => Promise<unknown>>> = {
  "await/service/pods-ready": () => pod("v2"),
  "await/ingress/service-present-no-status": async () => {
    await pod("i2");
    await service("i2");
    await wait(500);
  },
  "await/pvc/wait-for-first-consumer": () =>
    plane.call("POST", "/apis/storage.k8s.io/v1/storageclasses", {
      apiVersion: "storage.k8s.io/v1",
      kind: "StorageClass",
      metadata: { name: "contract-later" },
      provisioner: "csi.example.com",
      volumeBindingMode: "WaitForFirstConsumer",
    }),
  "await/secret/service-account-token": () =>
    plane.call("POST", `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`, { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "t1" } }), // prettier-ignore
};

/** What somebody else does in the middle of a case. */
const worldOf = ({ id, steps }: Case) => {
  return async (step: Step, index: number): Promise<void> => {
    const next = steps[index + 1]?.cluster ?? "";
    if (step.cluster === "status.loadBalancer.ingress is set")
      await giveAddress(
        id.startsWith("await/service/") ? `/api/v1/namespaces/${NAMESPACE}/services/v6` : `${INGRESSES}/i2`,
      );
    if (next.startsWith("status.loadBalancer.ingress was set")) {
      const name = id === "await/ingress/status-without-service" ? "i3" : "i2";
      setTimeout(() => void eventually(() => giveAddress(`${INGRESSES}/${name}`)), 1000);
    }
    if (id === "await/service/pods-appear" && step.call === "Create") setTimeout(() => void pod("v10"), 1200);
    if (id === "await/job/ttl" && step.call === "Read")
      await gone(plane, `/apis/batch/v1/namespaces/${NAMESPACE}/jobs/j6`);
  };
};

/** Moments, and what the played kubelet writes into a pod, differ; what a program waits for does not. */
const comparable = (properties: Fields): Fields => {
  const tidy = (value: Value, key = ""): Value => {
    if (Array.isArray(value)) {
      const parts = value
        .map((part) => tidy(part))
        .filter((part) => !isFields(part) || part["type"] !== "PodReadyToStartContainers");
      return key === "conditions" ? parts.sort((a, b) => JSON.stringify(byType(a)).localeCompare(JSON.stringify(byType(b)))) : parts; // prettier-ignore
    }
    if (!isFields(value)) return value;
    // Two words of the controller for one rollout that goes on: which of them it has said by now is chance.
    if (value["reason"] === "NewReplicaSetCreated" || value["reason"] === "ReplicaSetUpdated")
      return { type: value["type"] ?? null, status: value["status"] ?? null, reason: "(rolling out)" };
    return Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => !/Time$/.test(name) && !UNSTEADY.has(name))
        .map(([name, part]) => [name, tidy(part, name)]),
    );
  };
  return tidy(properties) as Fields;
};

/** Without a wait, how far a controller has come is chance. */
const isAwaited = (id: string): boolean =>
  !id.endsWith("/skipAwait") && !["await/deployment/waitFor", "await/pdb/no-pods", "await/hpa/no-metrics"].includes(id);

const byType = (condition: Value): Value => (isFields(condition) ? (condition["type"] ?? null) : condition);

/** With the pods' counts: a wait for fewer replicas is over before the surplus is gone. */
const UNSTEADY = new Set(["availableReplicas", "readyReplicas", "replicas", "unavailableReplicas", "updatedReplicas", "terminatingReplicas", "containerStatuses", "podIP", "podIPs", "hostIP", "hostIPs", "observedGeneration"]); // prettier-ignore

const outcomes = new Map<string, Promise<string[]>>();

const play = async (one: Case): Promise<string[]> => {
  const replay = new Replay({
    options: { kubeconfig: plane.kubeconfig() },
    speed: speedOf(one.id),
    loose: isAwaited(one.id) ? comparable : ({ status: _status, ...rest }) => comparable(rest),
    world: worldOf(one),
  });
  try {
    await BEFORE[one.id]?.();
    return await replay.run(one);
  } finally {
    await replay.close();
  }
};

beforeAll(async () => {
  plane = await startControlPlane();
  await makeNamespace(plane, NAMESPACE);
  await makeWidgets(plane);
  const queue = [...played];
  const finished = new Map<string, (differences: string[] | PromiseLike<string[]>) => void>();
  for (const { id } of played) outcomes.set(id, new Promise((resolve) => finished.set(id, resolve)));
  const work = async (): Promise<void> => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
      const playing = play(one).catch((error: Error) => [String(error.stack)]);
      finished.get(one.id)?.(playing);
      await playing;
    }
  };
  for (let worker = 0; worker < PARALLEL; worker += 1) void work();
});

afterAll(async () => {
  await Promise.all(outcomes.values());
  await plane?.stop();
});

test.each(played.map(({ id }) => id))("%s", async (id) => {
  expectMet(id, (await outcomes.get(id)) ?? ["was not played"]);
});
