import { type Container, matches, ofKind, onServers, subjects, workloadsIn } from "./platforms.fixture";

/** Volume types that the "restricted" profile takes (Kubernetes 1.36: pod-security-admission, check_restrictedVolumes.go). */
const RESTRICTED_VOLUMES = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "image",
  "persistentVolumeClaim",
  "projected",
  "secret",
];

describe.each(subjects)("every pod of %s", (_, { platform, manifests }) => {
  const all = workloadsIn(manifests);
  const containers = all.flatMap(({ name, pod }) =>
    [...(pod.initContainers ?? []), ...pod.containers].map((container) => [name, container] as const),
  );
  const confined = all.filter(({ name }) => !onServers(platform).includes(name));
  const names = (kind: string, namespace?: string): string[] =>
    ofKind(manifests, kind)
      .filter(({ metadata }) => metadata.namespace === namespace)
      .map(({ metadata }) => metadata.name);

  test("states how many there are", () => {
    for (const { kind, replicas } of all)
      if (kind === "DaemonSet") expect(replicas).toBeUndefined();
      else expect(replicas).toBeGreaterThanOrEqual(1);
  });

  test("is found by its own object's selector, which is its name and nothing else", () => {
    for (const { name, selector, labels } of all) {
      expect(selector).toEqual({ "app.kubernetes.io/name": name });
      expect(matches(selector, labels)).toBe(true);
      expect(all.filter((other) => matches(selector, other.labels))).toHaveLength(1);
    }
  });

  test("runs an image by its digest", () => {
    for (const [, { image, imagePullPolicy }] of containers) {
      expect(image).toMatch(/@sha256:[0-9a-f]{64}$/);
      expect(imagePullPolicy).toBe("IfNotPresent");
    }
  });

  test("asks for what it needs, and cannot take more memory or disk than that", () => {
    for (const [, { resources }] of containers) {
      expect(Object.keys(resources?.requests ?? {}).sort()).toEqual(["cpu", "ephemeral-storage", "memory"]);
      expect(resources?.limits).toMatchObject({
        memory: resources?.requests?.["memory"],
        "ephemeral-storage": expect.anything(),
      });
    }
    for (const { pod } of all)
      for (const { emptyDir } of pod.volumes ?? [])
        if (emptyDir !== undefined) expect(emptyDir.sizeLimit).toMatch(/^\d+Mi$/);
  });

  test("is one that the namespace's profile takes", () => {
    const enforced = Object.fromEntries(
      ofKind(manifests, "Namespace").map(({ metadata }) => [
        metadata.name,
        metadata.labels?.["pod-security.kubernetes.io/enforce"],
      ]),
    );
    expect(enforced).toEqual({
      [platform.namespace]: "restricted",
      [platform.ingressNamespace]: onServers(platform).length === 0 ? "restricted" : "privileged",
      ...(all.some(({ namespace }) => namespace === platform.edgeNamespace)
        ? { [platform.edgeNamespace]: "restricted" }
        : {}),
      // People's own: theirs to say.
      ...Object.fromEntries(platform.ingress.peoplesNamespaces.map((name) => [name, undefined])),
    });
    for (const { pod } of confined) {
      expect([pod.hostNetwork, pod.hostPID, pod.hostIPC]).toEqual([undefined, undefined, undefined]);
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
      expect(pod.securityContext?.runAsUser).toBeGreaterThan(0);
      expect(pod.securityContext?.sysctls).toBeUndefined();
      for (const volume of pod.volumes ?? [])
        expect(RESTRICTED_VOLUMES).toContain(Object.keys(volume).find((key) => key !== "name"));
      for (const container of [...(pod.initContainers ?? []), ...pod.containers]) {
        const { securityContext: security, ports = [] } = container;
        expect(security).toMatchObject({
          allowPrivilegeEscalation: false,
          privileged: false,
          capabilities: { drop: ["ALL"] },
        });
        expect(security?.capabilities?.add).toBeUndefined();
        expect(security?.runAsUser).toBeUndefined();
        expect(ports.filter(({ hostPort }) => hostPort !== undefined)).toEqual([]);
        for (const probe of [container.startupProbe, container.readinessProbe, container.livenessProbe])
          expect([probe?.httpGet?.host, probe?.tcpSocket?.host]).toEqual([undefined, undefined]);
      }
    }
  });

  test("cannot write to its own file system, nor gain rights", () => {
    for (const [, { securityContext }] of containers)
      expect(securityContext).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false });
  });

  test("has an account of its own; only those that read the Kubernetes API carry its token", () => {
    for (const { namespace, name, pod } of all) {
      expect(pod.serviceAccountName).toBe(name);
      expect(names("ServiceAccount", namespace)).toContain(name);
      expect(pod.enableServiceLinks).toBe(false);
    }
    expect(
      all
        .filter(({ pod }) => pod.automountServiceAccountToken !== false)
        .map(({ name }) => name)
        .sort(),
    ).toEqual([
      "traefik",
      ...onServers(platform).filter((name) => name !== "traefik"),
      ...(platform.metrics === undefined ? [] : ["vmagent"]),
    ]);
  });

  test("has a rank that exists", () => {
    for (const { pod } of all) expect(names("PriorityClass")).toContain(pod.priorityClassName);
  });

  test("mounts only volumes that it has, from configuration that exists", () => {
    for (const { namespace, pod, spec } of all) {
      const claims = ((spec["volumeClaimTemplates"] ?? []) as { metadata: { name: string } }[]).map(
        ({ metadata }) => metadata.name,
      );
      const volumes = [...(pod.volumes ?? []).map(({ name }) => name), ...claims];
      const mounted = pod.containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
      expect([...new Set(mounted)].sort()).toEqual([...volumes].sort());
      for (const { configMap } of pod.volumes ?? [])
        if (configMap !== undefined) expect(names("ConfigMap", namespace)).toContain(configMap.name);
    }
  });

  test("mounts no two volumes at one place", () => {
    for (const [, { volumeMounts = [] }] of containers)
      expect(new Set(volumeMounts.map(({ mountPath }) => mountPath)).size).toBe(volumeMounts.length);
  });

  test("names only Secrets and entries that the platform declares, and every declared one is named", () => {
    const declared = new Map(
      platform.secrets.map(({ namespace, name, entries }) => [`${namespace}/${name}`, Object.keys(entries)]),
    );
    const named = new Set<string>();
    for (const { namespace, pod } of all) {
      const expectEntry = (secret: string, key?: string): void => {
        const entries = declared.get(`${namespace}/${secret}`);
        expect([secret, entries !== undefined]).toEqual([secret, true]);
        if (key !== undefined) expect(entries).toContain(key);
        named.add(`${namespace}/${secret}`);
      };
      for (const { name } of pod.imagePullSecrets ?? []) expectEntry(name);
      for (const { secret } of pod.volumes ?? []) {
        if (secret === undefined) continue;
        expectEntry(secret.secretName);
        for (const { key } of secret.items ?? []) expectEntry(secret.secretName, key);
        // Not for the world to read.
        expect((secret.defaultMode ?? 0o777) & 0o007).toBe(0);
      }
      for (const { env = [] } of pod.containers)
        for (const { valueFrom } of env)
          if (valueFrom?.secretKeyRef !== undefined)
            expectEntry(valueFrom.secretKeyRef.name, valueFrom.secretKeyRef.key);
    }
    // With Cloudflare or past it: what the other way needs lies there and is not touched.
    const { edge, ingressNamespace } = platform;
    const waiting =
      edge.mode === "direct"
        ? [edge.originCertificate?.secretName, edge.originPulls?.authoritySecretName]
        : [edge.direct.certificate?.secretName];
    for (const name of waiting) if (name !== undefined) named.add(`${ingressNamespace}/${name}`);
    expect([...named].sort()).toEqual([...declared.keys()].sort());
  });

  test("gets no secret in an argument or a plain variable", () => {
    const suspicious = /password|token|secret|key/i;
    for (const [, { args = [], command = [], env = [] }] of containers) {
      for (const text of [...args, ...command]) expect(text).not.toMatch(/requirepass|bearerToken=|--token/);
      for (const { name, value } of env)
        if (suspicious.test(name) && value !== undefined) expect(value).toMatch(/^\/run\/secrets\//);
    }
  });

  test("asks its probes on a port that it declares", () => {
    for (const [, container] of containers) {
      const ports = (container.ports ?? []).map(({ name }) => name);
      for (const probe of [container.startupProbe, container.readinessProbe, container.livenessProbe]) {
        const port = probe?.httpGet?.port ?? probe?.tcpSocket?.port;
        if (port !== undefined) expect(ports).toContain(port);
      }
    }
  });

  test("that answers requests is asked how it is: at start, for readiness and for life", () => {
    const answering = platform.workloads.filter(({ kind }) => kind === "service").map(({ name }) => name);
    for (const [name, container] of containers)
      if (answering.includes(name)) {
        const { startupProbe, readinessProbe, livenessProbe }: Container = container;
        expect([startupProbe, readinessProbe, livenessProbe].map((probe) => probe?.httpGet?.port)).toEqual([
          "http",
          "http",
          "http",
        ]);
      }
  });
});
