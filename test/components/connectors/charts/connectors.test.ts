import { partsOf } from "../../../../components/part";
import {
  ofKind,
  subjectOf,
  subjects,
  tunnelled,
  tunnelledSettings,
  workloadsIn,
} from "../../../rules/platforms.fixture";

const { manifests, platform } = subjectOf(tunnelled, tunnelledSettings);
const connectors = (name: string) => {
  const found = workloadsIn(manifests).find((one) => one.name === name)!;
  return { ...found, container: found.pod.containers[0]! };
};
const NAMES = ["users-connector", "operators-connector"];

test("users and operators have connectors of their own, with a token each: neither takes the other down", () => {
  const inEdge = workloadsIn(manifests).filter(({ namespace }) => namespace === platform.edgeNamespace);
  expect(inEdge.map(({ kind, name }) => [kind, name])).toEqual(NAMES.map((name) => ["Deployment", name]));
  expect(inEdge.map(({ pod }) => pod.volumes)).toEqual(
    ["tunnel-token", "operators-tunnel-token"].map((secretName) => [
      { name: "token", secret: { secretName, defaultMode: 0o440, items: [{ key: "token", path: "token" }] } },
    ]),
  );
});

test.each(NAMES)("%s reads its token from a file and what it routes from Cloudflare", (name) => {
  const { container } = connectors(name);
  expect(container.args).toEqual(["tunnel", "--no-autoupdate", "--metrics", "0.0.0.0:2000", "run"]);
  expect(container.env).toEqual([{ name: "TUNNEL_TOKEN_FILE", value: "/run/secrets/tunnel/token" }]);
  expect(container.image).toMatch(/^cloudflare\/cloudflared:2026\.10\.0@sha256:[0-9a-f]{64}$/);
});

test.each(NAMES)("%s takes no traffic without Cloudflare, and is not restarted because Cloudflare is away", (name) => {
  const { readinessProbe, livenessProbe, startupProbe } = connectors(name).container;
  expect(readinessProbe?.httpGet?.path).toBe("/ready");
  expect(livenessProbe?.httpGet?.path).toBe("/healthcheck");
  // Nor at start, when it has never been there.
  expect(startupProbe?.httpGet?.path).toBe("/healthcheck");
});

test.each(NAMES)("%s goes one by one, after its successor is there, and finishes what it carries", (name) => {
  const { replicas, spec, pod } = connectors(name);
  expect(replicas).toBe(2);
  expect(spec["strategy"]).toEqual({ type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } });
  expect(pod.terminationGracePeriodSeconds).toBe(45);
  expect(JSON.stringify(spec["template"])).toContain('"whenUnsatisfiable":"DoNotSchedule"');
});

interface Egress {
  egress: { to: object[]; ports: { port: number; protocol: string }[] }[];
  ingress: { from: object[]; ports: { port: number }[] }[];
}
const policyOf = (name: string): Egress =>
  ofKind<Egress>(manifests, "NetworkPolicy").find(
    ({ metadata }) => metadata.name === name && metadata.namespace === platform.edgeNamespace,
  )!.spec;
const ports = (name: string): string[] =>
  policyOf(name)
    .egress.flatMap((rule) => rule.ports.map(({ protocol, port }) => `${protocol} ${port}`))
    .sort();

test("users' connectors get out to DNS, to Cloudflare on 7844, to Traefik and to what is routed past it: nowhere else", () => {
  expect(ports("users-connector")).toEqual(["TCP 53", "TCP 7844", "TCP 8000", "TCP 8000", "UDP 53", "UDP 7844"]);
  const [toApi, toTraefik] = ["api", "traefik"].map((name) =>
    policyOf("users-connector").egress.find(({ to }) => JSON.stringify(to).includes(`"${name}"`)),
  );
  expect(toApi!.to).toEqual([
    {
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "tunnelled" } },
      podSelector: { matchLabels: { "app.kubernetes.io/name": "api" } },
    },
  ]);
  expect(toTraefik!.to).toEqual([
    {
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "ingress" } },
      podSelector: { matchLabels: { "app.kubernetes.io/name": "traefik" } },
    },
  ]);
});

test("operators' connectors reach the guarded service and the keys of Access, and nothing of the users' way", () => {
  expect(ports("operators-connector")).toEqual(["TCP 3000", "TCP 443", "TCP 53", "TCP 7844", "UDP 53", "UDP 7844"]);
  expect(JSON.stringify(policyOf("operators-connector"))).not.toMatch(/"traefik"/);
});

test("nobody reaches a connector but the metrics agent", () => {
  for (const name of NAMES)
    expect(policyOf(name).ingress).toEqual([
      {
        from: [
          {
            namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "tunnelled" } },
            podSelector: { matchLabels: { "app.kubernetes.io/name": "vmagent" } },
          },
        ],
        ports: [{ protocol: "TCP", port: 2000 }],
      },
    ]);
});

test("are a part of their own, and a platform with neither tunnel nor guarded host has none", () => {
  expect(
    partsOf(manifests)
      .connectors.map(({ kind, metadata }) => `${kind} ${metadata.name}`)
      .sort(),
  ).toEqual(
    NAMES.flatMap((name) =>
      ["Deployment", "PodDisruptionBudget", "ServiceAccount"].map((kind) => `${kind} ${name}`),
    ).sort(),
  );
  const [, open] = subjects.find(([subject]) => subject === "the smallest platform")!;
  expect(partsOf(open.manifests).connectors).toEqual([]);
  expect(ofKind(open.manifests, "Namespace").map(({ metadata }) => metadata.name)).not.toContain("edge");
});
