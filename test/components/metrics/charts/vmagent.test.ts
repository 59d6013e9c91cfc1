import { parse } from "yaml";
import {
  ofKind,
  subjectOf,
  subjects,
  tunnelled as tunnelledDefinition,
  tunnelledSettings,
  workloadsIn,
} from "../../../rules/platforms.fixture";

const { manifests } = subjects[0]![1];
const { pod, spec } = workloadsIn(manifests).find(({ name }) => name === "vmagent")!;
const container = pod.containers[0]!;

test("scrapes the running api pods every 15 s, on the port that they declare", () => {
  const text = (
    ofKind(manifests, "ConfigMap").find(({ metadata }) => metadata.name === "vmagent")!["data"] as Record<
      string,
      string
    >
  )["scrape.yaml"]!;
  expect(parse(text)).toEqual({
    global: { scrape_interval: "15s", scrape_timeout: "10s", external_labels: { platform: "honeydue" } },
    scrape_configs: [
      {
        job_name: "api",
        metrics_path: "/metrics",
        kubernetes_sd_configs: [
          {
            role: "pod",
            namespaces: { names: ["honeydue"] },
            selectors: [{ role: "pod", label: "app.kubernetes.io/name=api" }],
          },
        ],
        relabel_configs: [
          { source_labels: ["__meta_kubernetes_pod_phase"], regex: "Running", action: "keep" },
          { source_labels: ["__meta_kubernetes_pod_container_port_number"], regex: "8000", action: "keep" },
          { source_labels: ["__meta_kubernetes_namespace"], target_label: "namespace" },
          { source_labels: ["__meta_kubernetes_pod_name"], target_label: "pod" },
          { source_labels: ["__meta_kubernetes_pod_node_name"], target_label: "node" },
        ],
      },
      expect.objectContaining({ job_name: "edge/operators" }),
      // In the servers' own network: found by their addresses, which are known.
      {
        job_name: "edge/traefik",
        metrics_path: "/metrics",
        static_configs: ["a", "b", "c"].map((server, index) => ({
          targets: [`10.0.1.${11 + index}:9180`],
          labels: { node: `honeydue-${server}` },
        })),
      },
    ],
  });
});

test("finds the pods of Traefik and the connectors behind a tunnel in their namespaces, where it may list pods and nothing else", () => {
  const tunnelled = subjectOf(tunnelledDefinition, tunnelledSettings);
  const jobs = parse(
    (
      ofKind(tunnelled.manifests, "ConfigMap").find(({ metadata }) => metadata.name === "vmagent")!["data"] as Record<
        string,
        string
      >
    )["scrape.yaml"]!,
  ) as { scrape_configs: { job_name: string; kubernetes_sd_configs: unknown[] }[] };
  expect(jobs.scrape_configs.map((job) => [job.job_name, job.kubernetes_sd_configs[0]])).toEqual(
    [
      ["api", "tunnelled", "api"],
      ["edge/traefik", "ingress", "traefik"],
      ["edge/users", "edge", "users-connector"],
      ["edge/operators", "edge", "operators-connector"],
    ].map(([job, namespace, name]) => [
      job,
      {
        role: "pod",
        namespaces: { names: [namespace] },
        selectors: [{ role: "pod", label: `app.kubernetes.io/name=${name}` }],
      },
    ]),
  );
  const roles = ofKind(tunnelled.manifests, "Role").filter(({ metadata }) => metadata.name === "vmagent");
  expect(roles.map(({ metadata }) => metadata.namespace).sort()).toEqual(["edge", "ingress", "tunnelled"]);
  for (const role of roles)
    expect(role["rules"]).toEqual([{ apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] }]);
});

test("sends with a bearer token that is read from a file", () => {
  expect(container.args).toEqual(
    expect.arrayContaining([
      "-remoteWrite.url=https://obs.example/api/v1/write",
      "-remoteWrite.bearerTokenFile=/run/secrets/remote-write/token",
    ]),
  );
});

test("its queue fits on its disk: vmagent's smallest is 512 MiB and may need twice that", () => {
  expect(container.args).toContain("-remoteWrite.maxDiskUsagePerURL=512MiB");
  expect(pod.volumes!.find(({ name }) => name === "queue")!.emptyDir).toEqual({ sizeLimit: "1536Mi" });
  expect(container.resources).toMatchObject({
    requests: { "ephemeral-storage": "1536Mi" },
    limits: { "ephemeral-storage": "2Gi" },
  });
});

test("never runs twice, which would send every sample twice", () => {
  expect(spec["strategy"]).toEqual({ type: "Recreate" });
});

test("reads pods of its namespace and nothing else of the cluster", () => {
  const role = ofKind(manifests, "Role").find(({ metadata }) => metadata.name === "vmagent")!;
  expect(role["rules"]).toEqual([{ apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] }]);
  expect(ofKind(manifests, "ClusterRole").map(({ metadata }) => metadata.name)).toEqual(["traefik"]);
});
