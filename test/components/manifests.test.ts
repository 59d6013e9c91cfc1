import { KEEP_ANNOTATION } from "../../components/pods/charts/labels";
import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { charts, type Manifest } from "../../components/charts";
import {
  checkManifests,
  makeObjects,
  reportManifests,
  resourceName,
  SECRETS_ANNOTATION,
} from "../../components/manifests";
import { partsOf } from "../../components/part";
import { only, type Registered, registered } from "../support/mocks";
import { honeyduePlatform } from "../support/platform";

const configMap = (name: string, namespace?: string, data: object = {}): Manifest => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
  data,
});

const codes = (...manifests: unknown[]): string[] =>
  checkManifests(manifests as Manifest[]).map(({ code, path }) => `${code} ${path}`);

describe("the bridge refuses", () => {
  test.each<[string, unknown[], string[]]>([
    [
      "a Secret from a chart",
      [{ apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace: "apps" }, stringData: { a: "b" } }],
      ["KB002 Secret apps/s"],
    ],
    ["a missing namespace", [configMap("cm")], ["KB004 ConfigMap cm"]],
    ["an empty namespace", [configMap("cm", "")], ["KB004 ConfigMap cm"]],
    [
      "a namespace on what belongs to the whole cluster",
      [{ apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata: { name: "r", namespace: "apps" } }],
      ["KB005 ClusterRole apps/r"],
    ],
    ["two objects with one identity", [configMap("cm", "apps"), configMap("cm", "apps")], ["KB006 ConfigMap apps/cm"]],
    [
      "the same object in two versions of its group",
      [
        { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "d", namespace: "apps" } },
        { apiVersion: "apps/v1beta1", kind: "Deployment", metadata: { name: "d", namespace: "apps" } },
      ],
      ["KB003 Deployment apps/d", "KB006 Deployment apps/d"],
    ],
    [
      "an unknown kind of a core group",
      [{ apiVersion: "v1", kind: "ConfigMpa", metadata: { name: "cm", namespace: "apps" } }],
      ["KB003 ConfigMpa apps/cm"],
    ],
    [
      "an object without a name",
      [{ apiVersion: "v1", kind: "ConfigMap", metadata: {} }],
      ["KB001 object 1 (ConfigMap undefined)"],
    ],
    ["an object without metadata", [{ apiVersion: "v1", kind: "ConfigMap" }], ["KB001 object 1 (ConfigMap undefined)"]],
    [
      "the text an Output leaves in a string",
      [configMap("cm", "apps", { url: "http://Calling [toString] on an [Output<T>] is not supported" })],
      ["KB007 ConfigMap apps/cm.data.url"],
    ],
    [
      "a token of cdk8s",
      [configMap("cm", "apps", { a: ["x", "${Token[TOKEN.3]}"] })],
      ["KB007 ConfigMap apps/cm.data.a[1]"],
    ],
    ["such text as a key", [configMap("cm", "apps", { "[object Object]": "x" })], ["KB007 ConfigMap apps/cm.data"]],
    [
      "an Output itself",
      [configMap("cm", "apps", { late: pulumi.output("x") })],
      ["KB007 ConfigMap apps/cm.data.late"],
    ],
  ])("%s", (_what, manifests, expected) => {
    expect(codes(...manifests)).toEqual(expected);
  });

  test("all mistakes at once, each with what to do", () => {
    const problems = checkManifests([configMap("one"), configMap("two")]);
    const text = reportManifests(problems);
    expect(text.split("\n")).toHaveLength(3);
    expect(text).toContain("2 problems, nothing was created or changed");
    expect(text).toContain("ConfigMap two  KB004  has no namespace");
    expect(text).toContain("Do: Give the chart a namespace.");
  });

  test("nothing in the charts of honeyDue", () => {
    expect(checkManifests(charts(honeyduePlatform()))).toEqual([]);
  });

  test("no custom resource: its definition, not this table, says what it is", () => {
    expect(
      codes({ apiVersion: "traefik.io/v1alpha1", kind: "Middleware", metadata: { name: "m", namespace: "x" } }),
    ).toEqual([]);
  });
});

describe("the bridge", () => {
  const deployment: Manifest = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "api", namespace: "apps", labels: { app: "api" } },
    spec: {
      replicas: 3,
      template: {
        metadata: { labels: { app: "api" }, annotations: { kept: "yes" } },
        spec: {
          imagePullSecrets: [{ name: "registry-login" }],
          containers: [
            {
              name: "api",
              envFrom: [{ secretRef: { name: "api-env" } }],
              env: [{ name: "P", valueFrom: { secretKeyRef: { name: "redis-password", key: "password" } } }],
            },
          ],
          volumes: [{ name: "key", secret: { secretName: "push-key" } }],
        },
      },
    },
  };

  const build = async (
    manifests: readonly Manifest[],
    secretVersion: (namespace: string, name: string) => pulumi.Output<string> | undefined = () => undefined,
  ): Promise<Registered[]> =>
    registered(() => {
      const parent = new pulumi.ComponentResource("test:index:Parent", "parent", {}, {});
      const provider = new kubernetes.Provider("cluster", { kubeconfig: "none" });
      makeObjects(parent, { manifests, provider, after: [], secretVersion });
      return [parent, provider];
    });

  test("makes one typed resource an object, named as kubectl would ask for it", async () => {
    const all = await build([
      deployment,
      configMap("settings", "apps"),
      { apiVersion: "v1", kind: "Namespace", metadata: { name: "apps" } },
    ]);
    expect(all.filter(({ type }) => type.startsWith("kubernetes:")).map(({ type, name }) => [type, name])).toEqual([
      ["kubernetes:core/v1:Namespace", "namespace/apps"],
      ["kubernetes:core/v1:ConfigMap", "configmap/apps/settings"],
      ["kubernetes:apps/v1:Deployment", "deployment/apps/api"],
    ]);
    expect(only(all, "kubernetes:apps/v1:Deployment", "deployment/apps/api").inputs).toEqual(deployment);
  });

  test("takes a namespace of people's own as it is, and would never delete it", async () => {
    const annotations = { [KEEP_ANNOTATION]: "true" };
    const all = await build([{ apiVersion: "v1", kind: "Namespace", metadata: { name: "blog", annotations } }]);
    expect(only(all, "kubernetes:core/v1:NamespacePatch", "namespace/blog").inputs["metadata"]).toMatchObject({
      name: "blog",
    });
  });

  test("starts pods anew when a Secret that they read has changed, and only then", async () => {
    const asked: string[] = [];
    const all = await build([deployment], (namespace, name) => {
      asked.push(`${namespace}/${name}`);
      return name === "push-key" ? undefined : pulumi.output(`v-${name}`);
    });
    // Not the pull secret: the kubelet reads it at each pull.
    expect(asked).toEqual(["apps/api-env", "apps/push-key", "apps/redis-password"]);
    const { spec } = only(all, "kubernetes:apps/v1:Deployment", "deployment/apps/api").inputs as {
      spec: { template: { metadata: { annotations: Record<string, string> } } };
    };
    expect(spec.template.metadata.annotations).toEqual({
      kept: "yes",
      [SECRETS_ANNOTATION]: "v-api-env-v-redis-password",
    });
  });

  test("does not wait for an Ingress' address, which nobody writes, nor for a volume that binds with its pod", async () => {
    const all = await build([
      { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name: "api", namespace: "apps" } },
      { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: "data", namespace: "apps" } },
    ]);
    for (const { type, inputs } of all.filter((one) => one.type.startsWith("kubernetes:"))) {
      const { annotations } = inputs["metadata"] as { annotations?: Record<string, string> };
      expect([type, annotations]).toEqual([type, { "pulumi.com/skipAwait": "true" }]);
    }
  });

  test("makes namespaces first, then what pods need, then what runs, whatever the order of the charts", async () => {
    const manifests = charts(honeyduePlatform());
    const order = async (given: readonly Manifest[]): Promise<string[]> =>
      (await build(given)).filter(({ type }) => type.startsWith("kubernetes:")).map(({ name }) => name);
    const made = await order([...manifests].reverse());
    const last = (prefix: string): number => made.findLastIndex((name) => name.startsWith(prefix));
    const first = (prefix: string): number => made.findIndex((name) => name.startsWith(prefix));
    expect(last("namespace/")).toBeLessThan(first("networkpolicy/"));
    expect(last("priorityclass/")).toBeLessThan(first("serviceaccount/"));
    for (const before of ["networkpolicy/", "configmap/", "serviceaccount/", "rolebinding/"]) {
      for (const after of ["deployment/", "statefulset/", "daemonset/", "ingress/"]) {
        expect([before, after, last(before) < first(after)]).toEqual([before, after, true]);
      }
    }
  });
});

describe("the parts of honeyDue", () => {
  const manifests = charts(honeyduePlatform());

  test("own every object exactly once", () => {
    const owned = Object.values(partsOf(manifests)).flat();
    expect(owned).toHaveLength(manifests.length);
    expect(new Set(owned.map(resourceName)).size).toBe(manifests.length);
  });

  test("own what they are about", () => {
    const names = Object.fromEntries(
      Object.entries(partsOf(manifests)).map(([part, objects]) => [part, objects.map(resourceName)]),
    );
    expect(names["policies"]).toEqual(
      expect.arrayContaining(["namespace/honeydue", "namespace/ingress", "networkpolicy/honeydue/api"]),
    );
    expect(names["ingress"]).toEqual(expect.arrayContaining(["daemonset/ingress/traefik", "clusterrole/traefik"]));
    expect(names["stores"]).toEqual(
      expect.arrayContaining(["deployment/honeydue/redis-cache", "statefulset/honeydue/redis-queue"]),
    );
    expect(names["workloads"]).toEqual(expect.arrayContaining(["deployment/honeydue/api", "ingress/honeydue/api"]));
    expect(names["metrics"]).toEqual(expect.arrayContaining(["deployment/honeydue/vmagent"]));
  });
});
