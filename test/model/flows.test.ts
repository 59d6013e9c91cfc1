import { endpointKey, flows } from "../../model/flows";
import { picture } from "../../model/picture";
import { resolve } from "../../model/resolve";
import honeydue from "../../stacks/honeydue";
import { honeydueSettings } from "./honeydue.fixture";

const platform = resolve(honeydue, honeydueSettings).platform!;
const lines = flows(platform).map(
  ({ from, to, port, protocol }) => `${endpointKey(from)} -> ${endpointKey(to)}:${port}/${protocol}`,
);

test("lists every connection of honeyDue, and no other", () => {
  expect(lines).toEqual([
    "cloudflare -> traefik:443/TCP",
    "operators -> kubernetesApi:6443/TCP",
    "traefik -> kubernetesApi:6443/TCP",
    "traefik -> workload/api:8000/TCP",
    "traefik -> workload/web:3000/TCP",
    "traefik -> workload/admin:3000/TCP",
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
