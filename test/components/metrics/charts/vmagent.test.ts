import { parse } from "yaml";
import { ofKind, subjects, workloadsIn } from "../../../rules/platforms.fixture";

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
    ],
  });
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
