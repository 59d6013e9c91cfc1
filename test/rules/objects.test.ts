import { charts } from "../../components/charts";
import { parse } from "yaml";
import { ofKind, matches, onServers, subjects, workloadsIn } from "./platforms.fixture";

const CLUSTER_SCOPED = ["Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding", "IngressClass"];

const identity = ({ kind, metadata }: { kind: string; metadata: { name: string; namespace?: string } }): string =>
  `${kind} ${metadata.namespace ?? ""}/${metadata.name}`;

describe.each(subjects)("every object of %s", (_, { platform, manifests }) => {
  const names = (kind: string, namespace?: string): string[] =>
    ofKind(manifests, kind)
      .filter(({ metadata }) => metadata.namespace === namespace)
      .map(({ metadata }) => metadata.name);

  test("lives in a namespace that is made before it, unless it belongs to the cluster", () => {
    const made = new Set<string>();
    for (const manifest of manifests) {
      if (manifest.kind === "Namespace") made.add(manifest.metadata.name);
      if (CLUSTER_SCOPED.includes(manifest.kind)) expect(manifest.metadata.namespace).toBeUndefined();
      else
        expect([identity(manifest), made.has(manifest.metadata.namespace ?? "")]).toEqual([identity(manifest), true]);
    }
  });

  test("has an identity of its own and a name without a hash", () => {
    const identities = manifests.map(identity);
    expect(new Set(identities).size).toBe(identities.length);
    for (const { metadata } of manifests) expect(metadata.name).not.toMatch(/-c[0-9a-f]{7}$/);
  });

  test("is no Secret, and holds no text that a chart left unfinished", () => {
    expect(manifests.map(({ kind }) => kind)).not.toContain("Secret");
    expect(JSON.stringify(manifests)).not.toMatch(/\$\{Token|\[object Object\]|undefined|OutputImpl|cdk8s\.io/);
  });

  test("says whom it belongs to", () => {
    for (const { metadata } of manifests)
      expect(metadata.labels).toMatchObject({
        "app.kubernetes.io/part-of": platform.name,
        "app.kubernetes.io/managed-by": "trivet",
      });
  });

  test("comes out the same each time", () => {
    expect(JSON.stringify(charts(platform))).toBe(JSON.stringify(manifests));
  });

  test("opens no port past Traefik", () => {
    for (const { spec } of ofKind<{ type: string; externalIPs?: unknown }>(manifests, "Service")) {
      expect(spec.type).toBe("ClusterIP");
      expect(spec.externalIPs).toBeUndefined();
    }
    const onHost = workloadsIn(manifests).filter(
      ({ pod }) =>
        pod.hostNetwork === true ||
        pod.containers.some(({ ports = [] }) => ports.some(({ hostPort }) => hostPort !== undefined)),
    );
    expect(onHost.map(({ name }) => name)).toEqual(onServers(platform));
  });

  test("a Service leads to the pods of exactly one object, on a port that these declare", () => {
    for (const { metadata, spec } of ofKind<{ selector: Record<string, string>; ports: { targetPort: string }[] }>(
      manifests,
      "Service",
    )) {
      const behind = workloadsIn(manifests).filter(
        ({ namespace, labels }) => namespace === metadata.namespace && matches(spec.selector, labels),
      );
      expect(behind.map(({ name }) => name)).toEqual([metadata.name]);
      const declared = behind[0]!.pod.containers.flatMap(({ ports = [] }) => ports.map(({ name }) => name));
      for (const { targetPort } of spec.ports) expect(declared).toContain(targetPort);
    }
  });

  test("an Ingress leads to a Service and a port that exist, by a class and middlewares that exist", () => {
    const middlewares = ofKind(manifests, "ConfigMap")
      .filter(({ metadata }) => metadata.namespace === platform.ingressNamespace)
      .map((config) =>
        Object.keys(
          (parse((config["data"] as Record<string, string>)["dynamic.yaml"]!) as { http: { middlewares: object } }).http
            .middlewares,
        ),
      );
    expect(middlewares.length).toBeGreaterThan(0);
    const ports = new Map(
      ofKind<{ ports: { port: number }[] }>(manifests, "Service").map(({ metadata, spec }) => [
        metadata.name,
        spec.ports.map(({ port }) => port),
      ]),
    );
    const ingresses = ofKind<{
      ingressClassName: string;
      rules: {
        host: string;
        http: { paths: { backend: { service: { name: string; port: { number: number } } } }[] };
      }[];
    }>(manifests, "Ingress");
    const served = platform.edge.routes.filter(({ via }) => via === "traefik").map(({ fqdn }) => fqdn);
    expect(new Set(ingresses.flatMap(({ spec }) => spec.rules.map(({ host }) => host)))).toEqual(new Set(served));
    for (const { metadata, spec } of ingresses) {
      expect(names("IngressClass")).toContain(spec.ingressClassName);
      for (const { http } of spec.rules)
        for (const { backend } of http.paths)
          expect(ports.get(backend.service.name)).toContain(backend.service.port.number);
      const named = metadata.annotations!["traefik.ingress.kubernetes.io/router.middlewares"];
      for (const known of middlewares)
        for (const middleware of named?.split(",") ?? [])
          expect(known.map((name) => `${name}@file`)).toContain(middleware);
    }
  });

  test("a budget covers the pods of one object and lets one of them go", () => {
    const budgets = ofKind<{ maxUnavailable: number; selector: { matchLabels: Record<string, string> } }>(
      manifests,
      "PodDisruptionBudget",
    );
    // On a single node a budget would only ever hold up its drain.
    const several = workloadsIn(manifests).filter(
      ({ replicas = 0 }) => replicas > 1 && platform.cluster.nodes.length > 1,
    );
    expect(budgets.map(({ metadata }) => metadata.name).sort()).toEqual(several.map(({ name }) => name).sort());
    for (const { metadata, spec } of budgets) {
      expect(spec.maxUnavailable).toBe(1);
      expect(
        workloadsIn(manifests)
          .filter(({ labels }) => matches(spec.selector.matchLabels, labels))
          .map(({ name }) => name),
      ).toEqual([metadata.name]);
    }
  });

  test("a binding names a role and an account that exist", () => {
    for (const kind of ["RoleBinding", "ClusterRoleBinding"])
      for (const binding of ofKind(manifests, kind)) {
        const { roleRef, subjects: accounts } = binding as unknown as {
          roleRef: { kind: string; name: string };
          subjects: { name: string; namespace: string }[];
        };
        expect(names(roleRef.kind, kind === "RoleBinding" ? binding.metadata.namespace : undefined)).toContain(
          roleRef.name,
        );
        for (const { name, namespace } of accounts) expect(names("ServiceAccount", namespace)).toContain(name);
      }
  });

  test("no role may write anything, or read more than it lists", () => {
    for (const kind of ["Role", "ClusterRole"])
      for (const role of ofKind(manifests, kind))
        for (const rule of (role as unknown as { rules: { verbs: string[]; resources: string[] }[] }).rules) {
          expect(rule.verbs).toEqual(["get", "list", "watch"]);
          expect(rule.resources).not.toContain("*");
          if (kind === "ClusterRole") expect(rule.resources).not.toContain("secrets");
        }
  });
});
