/** Recorded stories of one object each: other managers, objects that are there already or gone, secrets, unknowns. */

import { startControlPlane, type ControlPlane } from "../../../support/control-plane";
import { masked } from "./likeness";
import { cases, isFields, type Case, type Fields, type Step } from "./recording";
import { Replay, type ReplaySettings } from "./replay";
import { expectMet } from "./unmet";
import { applyAs, clear, makeNamespace, makeWidgets, pathOf } from "./world";
import { differences } from "./likeness";

const GROUPS = ["exists", "create", "conflict", "fieldManager", "patch", "missing", "delete", "secret", "unknown", "normalise"]; // prettier-ignore

let plane: ControlPlane;

beforeAll(async () => {
  plane = await startControlPlane();
  await makeNamespace(plane, "contract");
  await makeNamespace(plane, "contract-c");
  await makeWidgets(plane);
});

afterAll(() => plane?.stop());

const configMap = (name: string, data: Fields, metadata: Fields = {}): Fields => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "contract-c", ...metadata },
  data,
});

const managersOf = async (object: Fields): Promise<unknown> => {
  const { metadata } = (await plane.call("GET", pathOf(object))) as { metadata: Fields };
  return (masked(metadata) as Fields)["managedFields"];
};

const expectManagers = async (object: Fields, expected: readonly string[]): Promise<string[]> =>
  differences([...expected].sort(), (await managersOf(object)) as string[], "managers");

const scale = (object: Fields, replicas: number): Promise<unknown> =>
  plane.call("PATCH", `${pathOf(object)}/scale?fieldManager=kubectl`, { spec: { replicas } }, "application/merge-patch+json"); // prettier-ignore

const label = (object: Fields): Promise<unknown> =>
  plane.call("PATCH", `${pathOf(object)}?fieldManager=kubectl-label`, { metadata: { labels: { extra: "1" } } }, "application/merge-patch+json"); // prettier-ignore

/** The object that a story is about, from the first inputs in it. */
const subjectOf = (one: Case): Fields => {
  const given = one.steps.find((step) => isFields(step.inputs) || isFields(step.news));
  return (given?.inputs ?? given?.news ?? {}) as Fields;
};

/** Plays what somebody else did. */
const worldOf =
  (one: Case) =>
  async (step: Step, index: number, replay: Replay): Promise<string[]> => {
    const subject = one.id === "conflict/ignoreChanges" ? (replay.named["inputs"] as Fields) : subjectOf(one);
    if (one.id === "patch/configmap") {
      // The patch that is deleted is the first one, not the one of an object that was missing.
      if (index === 2) replay.named["first patch"] = replay.state;
      if (step.call === "Delete")
        Object.assign(replay, { state: replay.named["first patch"], id: "contract-c/patched" });
    }
    const what = step.cluster ?? "";
    if (what.includes("{a: theirs, b: theirs}"))
      await applyAs(plane, "other", { ...subject, metadata: bare(subject), data: { a: "theirs", b: "theirs" } });
    else if (what.includes("{a: same}")) await applyAs(plane, "other", { ...subject, data: { a: "same" } });
    else if (what.includes("{a: theirs, c: theirs}"))
      await applyAs(plane, "other", { ...subject, data: { a: "theirs", c: "theirs" } });
    else if (what.includes("{a: theirs}")) await applyAs(plane, "other", { ...subject, data: { a: "theirs" } });
    else if (what.startsWith("kubectl scale")) {
      await scale(subject, 3);
      if (what.includes("kubectl label")) await label(subject);
      await settled(subject);
    } else if (what.startsWith("the finalizer is removed"))
      setTimeout(() => {
        void plane.call("PATCH", pathOf(configMap("finalizer", {})), [{ op: "remove", path: "/metadata/finalizers" }], "application/json-patch+json"); // prettier-ignore
      }, 300);
    if (step.managers !== undefined) return expectManagers(subject, step.managers);
    if (step.data !== undefined) {
      const { data } = await plane.call("GET", pathOf(subject));
      return differences(JSON.parse(step.data) as Fields, data as Fields, "data");
    }
    if (step.found !== undefined) {
      const found = await plane.call("GET", pathOf(configMap("uid", {}))).then(() => "found", () => "not found"); // prettier-ignore
      return differences(step.found, found, "found");
    }
    return [];
  };

/** Without what steers the provider: the other manager knows nothing of that. */
const bare = (object: Fields): Fields => {
  const { annotations: _annotations, ...metadata } = object["metadata"] as Fields;
  return metadata;
};

/** Until the Deployment controller has written its status: the recording's list of managers has it. */
const settled = async (object: Fields): Promise<void> => {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const managers = JSON.stringify(await managersOf(object));
    if (managers.includes("kube-controller-manager")) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

const created = async (replay: Replay, inputs: Fields, timeout?: number): Promise<void> => {
  await replay.run({
    id: "before",
    steps: [{ call: "Create", inputs, ...(timeout === undefined ? {} : { timeout }) }],
  });
};

/** What was true before the first recorded step. */
const BEFORE: Readonly<Record<string, (replay: Replay) => Promise<void>>> = {
  "conflict/ignoreChanges": async (replay) => {
    const inputs = subjectOf(cases.find(({ id }) => id === "conflict/kubectl-scale")!);
    const renamed = { ...inputs, metadata: { ...(inputs["metadata"] as Fields), name: "ignored" } };
    await created(replay, renamed);
    await scale(renamed, 3);
    await settled(renamed);
    await replay.run({ id: "before", steps: [{ call: "Read", olds: "current state" }] });
    replay.named["inputs"] = renamed;
  },
  "create/kind-not-registered": async (replay) => {
    const inputs = subjectOf(cases.find(({ id }) => id === "create/kind-not-registered")!);
    replay.state = { ...inputs, __inputs: inputs };
    replay.id = "contract-c/g";
  },
  "missing/configmap": async (replay) => {
    const inputs = configMap("gone", { a: "1" });
    await created(replay, inputs);
    await clear(plane, pathOf(inputs));
  },
  "missing/recreated-by-another": async (replay) => {
    const inputs = configMap("uid", { a: "1" });
    await created(replay, inputs);
    await clear(plane, pathOf(inputs));
    await plane.call("POST", "/api/v1/namespaces/contract-c/configmaps", configMap("uid", { a: "other" }));
  },
  "delete/finalizer": (replay) =>
    created(replay, configMap("finalizer", { a: "1" }, { finalizers: ["example.com/hold"] })),
  "delete/namespace-with-objects": async (replay) => {
    const name = "contract-full";
    await created(replay, { apiVersion: "v1", kind: "Namespace", metadata: { name } });
    await plane.call("POST", `/api/v1/namespaces/${name}/configmaps`, {
      ...configMap("a", {}),
      metadata: { name: "a" },
    });
  },
  "delete/namespace-held": async (replay) => {
    const name = "contract-held";
    await plane.call("POST", "/api/v1/namespaces?fieldManager=kubectl-create", { apiVersion: "v1", kind: "Namespace", metadata: { name } }); // prettier-ignore
    await plane.call("POST", `/api/v1/namespaces/${name}/configmaps`, { ...configMap("a", {}), metadata: { name: "a", finalizers: ["example.com/hold"] } }); // prettier-ignore
    const live = (await plane.call("GET", `/api/v1/namespaces/${name}`)) as Fields;
    const inputs = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
    replay.state = { ...live, __inputs: inputs };
    replay.id = name;
    replay.named["inputs"] = inputs;
  },
  "unknown/configmap": (replay) => created(replay, configMap("unk3", { a: "1" })),
};

/** What the server gives every object was left out of most of these recordings. */
const withoutGivenMetadata = (properties: Fields): Fields => {
  const strip = (metadata: Fields): Fields => {
    const { uid: _uid, resourceVersion: _version, creationTimestamp: _time, ...rest } = metadata;
    return rest;
  };
  return Object.fromEntries(
    Object.entries(properties).map(([key, value]) => [
      key,
      key === "metadata" && isFields(value) ? strip(value) : key === "__inputs" && isFields(value) ? withoutGivenMetadata(value) : value, // prettier-ignore
    ]),
  );
};

const CONFIG_MAP = "kubernetes:core/v1:ConfigMap";

const SETTINGS: Readonly<Record<string, Partial<ReplaySettings>>> = {
  "create/namespace-missing": { speed: 100 },
  "create/kind-not-registered": { speed: 100 },
  "delete/finalizer": { speed: 10 },
  "delete/namespace-held": { speed: 10 },
  "patch/configmap": { token: "kubernetes:core/v1:ConfigMapPatch" },
  "missing/import": { token: CONFIG_MAP },
  "normalise/kind-mismatch": { token: CONFIG_MAP },
  "normalise/autoname-long": { resourceName: "a".repeat(70) },
  "normalise/generateName-client-side": { options: { enableServerSideApply: false } },
  "normalise/managed-by-client-side": { options: { enableServerSideApply: false } },
};

const played = cases.filter(({ id }) => GROUPS.includes(id.split("/")[0] ?? ""));

test.each(played.map((one) => [one.id, one] as const))("%s", async (id, one) => {
  const { options, ...settings } = SETTINGS[id] ?? {};
  const replay = new Replay({
    // These were recorded with ConfigMaps that may change in place: their data is what two managers quarrel about.
    options: { kubeconfig: plane.kubeconfig(), enableConfigMapMutable: true, ...options },
    loose: withoutGivenMetadata,
    // The stories about other managers were recorded without the lines.
    ignoreUnrecordedLogs: id.startsWith("conflict/"),
    world: worldOf(one),
    ...settings,
  });
  try {
    await BEFORE[id]?.(replay);
    expectMet(id, await replay.run(one));
  } finally {
    await replay.close();
  }
});
