import { endpointKey, flows } from "../../model/flows";
import { picture } from "../../model/picture";
import { resolve } from "../../model/resolve";
import honeydue from "../../stacks/honeydue";
import { clusterPicture } from "../../model/cluster-picture";
import { honeydueSettings } from "./honeydue.fixture";
import { referencePlatform } from "./platforms.fixture";

const platform = resolve(honeydue, honeydueSettings).platform!;
const lines = flows(platform).map(
  ({ from, to, port, protocol }) => `${endpointKey(from)} -> ${endpointKey(to)}:${port}/${protocol}`,
);

test("lists every connection of honeyDue, and no other", () => {
  expect(lines).toEqual([
    "cloudflare -> traefik:443/TCP",
    "connector/operators -> cloudflareEdge:7844/UDP",
    "connector/operators -> cloudflareEdge:7844/TCP",
    "connector/operators -> dns:53/UDP",
    "connector/operators -> dns:53/TCP",
    "connector/operators -> cloudflareAccess:443/TCP",
    "connector/operators -> workload/admin:3000/TCP",
    "operators -> kubernetesApi:6443/TCP",
    "traefik -> kubernetesApi:6443/TCP",
    "traefik -> workload/api:8000/TCP",
    "traefik -> workload/web:3000/TCP",
    "workload/api -> store/cache:6379/TCP",
    "workload/api -> store/queue:6379/TCP",
    "workload/api -> external/postgres:5432/TCP",
    "workload/api -> external/objects:443/TCP",
    "workload/api -> dns:53/UDP",
    "workload/api -> dns:53/TCP",
    "workload/web -> workload/api:8000/TCP",
    "workload/web -> dns:53/UDP",
    "workload/web -> dns:53/TCP",
    "workload/admin -> workload/api:8000/TCP",
    "workload/admin -> dns:53/UDP",
    "workload/admin -> dns:53/TCP",
    "workload/worker -> store/queue:6379/TCP",
    "workload/worker -> store/cache:6379/TCP",
    "workload/worker -> external/postgres:5432/TCP",
    "workload/worker -> external/objects:443/TCP",
    "workload/worker -> external/smtp:587/TCP",
    "workload/worker -> external/apns:443/TCP",
    "workload/worker -> external/fcm:443/TCP",
    "workload/worker -> dns:53/UDP",
    "workload/worker -> dns:53/TCP",
    "vmagent -> kubernetesApi:6443/TCP",
    "vmagent -> workload/api:8000/TCP",
    "vmagent -> traefik:9180/TCP",
    "vmagent -> connector/operators:2000/TCP",
    "vmagent -> remoteWrite:443/TCP",
    "vmagent -> dns:53/UDP",
    "vmagent -> dns:53/TCP",
  ]);
});

test("a store opens no connection of its own", () => {
  expect(lines.filter((line) => line.startsWith("store/"))).toEqual([]);
});

test("the picture shows each flow but the name look-ups, and is the same each time", () => {
  const drawn = picture(platform);
  expect(drawn.split("\n").filter((line) => line.includes("-->"))).toHaveLength(
    lines.filter((line) => !line.includes("dns:53")).length,
  );
  expect(drawn).toContain('n_cloudflare -->|"443 HTTPS"| n_traefik');
  expect(drawn).toContain('subgraph cluster["3 x cx33 in nbg1, K3s"]');
  expect(picture(resolve(honeydue, honeydueSettings).platform!)).toBe(drawn);
});

describe("of the other reference platforms", () => {
  const entries = (name: "hangangjari" | "farm"): string[] =>
    flows(referencePlatform(name))
      .map(({ from, to, port, protocol }) => `${endpointKey(from)} -> ${endpointKey(to)}:${port}/${protocol}`)
      .filter((line) => !/^(workload|vmagent)\//.test(line) && !line.startsWith("vmagent -> workload"));

  test("a tunnel's connectors dial out, and reach Traefik and what is routed past it; nobody comes in", () => {
    expect(entries("hangangjari").filter((line) => !line.startsWith("vmagent"))).toEqual([
      "connector/users -> cloudflareEdge:7844/UDP",
      "connector/users -> cloudflareEdge:7844/TCP",
      "connector/users -> dns:53/UDP",
      "connector/users -> dns:53/TCP",
      "connector/users -> traefik:8000/TCP",
      "connector/users -> workload/api:8000/TCP",
      "connector/operators -> cloudflareEdge:7844/UDP",
      "connector/operators -> cloudflareEdge:7844/TCP",
      "connector/operators -> dns:53/UDP",
      "connector/operators -> dns:53/TCP",
      "connector/operators -> cloudflareAccess:443/TCP",
      "connector/operators -> kubernetesApi:6443/TCP",
      "connector/operators -> workload/admin:8080/TCP",
      "traefik -> kubernetesApi:6443/TCP",
      "traefik -> workload/api:8000/TCP",
    ]);
  });

  test("the way in is measured: Traefik and the connectors of both tunnels", () => {
    expect(entries("hangangjari").filter((line) => /^vmagent -> (traefik|connector)/.test(line))).toEqual([
      "vmagent -> traefik:9180/TCP",
      "vmagent -> connector/users:2000/TCP",
      "vmagent -> connector/operators:2000/TCP",
    ]);
  });

  test("what is guarded is nobody's but the operators' connectors', whatever the kind of edge", () => {
    expect(entries("farm").filter((line) => line.includes("workload/grafana"))).toEqual([
      "connector/operators -> workload/grafana:3000/TCP",
    ]);
    expect(entries("farm")).toContain("cloudflare -> traefik:443/TCP");
    expect(entries("farm")).toContain("operators -> kubernetesApi:6443/TCP");
  });

  test("a picture of a tunnel platform shows connectors that dial out, and no way from Cloudflare in", () => {
    const drawn = picture(referencePlatform("hangangjari"));
    expect(drawn).toContain('n_connector_users["cloudflared x2<br/>users\' tunnel"]');
    expect(drawn).toContain('n_connector_users -->|"7844 tunnel"| n_cloudflareEdge');
    expect(drawn).not.toMatch(/n_cloudflare -->/);
    expect(clusterPicture(referencePlatform("hangangjari"))).not.toMatch(/cloudflare|operators/);
  });
});
