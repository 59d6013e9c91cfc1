import type { V1Pod } from "@kubernetes/client-node";
import type { Inspection } from "../../../rehearsal/rehearse/inspection";
import { routes } from "../../../rehearsal/rehearse/routes";

const HOST = "api.honeydue.example";
const RANGES = ["173.245.48.0/20", "2400:cb00::/32"];
const ready = { conditions: [{ type: "Ready", status: "True" }] };

/** One node, one host, everything well. */
const well = (): Inspection => ({
  servers: [
    {
      id: 1,
      name: "a",
      status: "running",
      server_type: { name: "cx33", prices: [] },
      location: { name: "nbg1" },
      public_net: { ipv4: { ip: "127.20.0.11" }, firewalls: [{ id: 7, status: "applied" }] },
    },
  ],
  firewalls: [
    {
      id: 7,
      name: "f",
      rules: [{ direction: "in", protocol: "tcp", port: "443", source_ips: ["173.245.48.0/20", "2400:cb00::/32"] }],
    },
  ],
  dnsRecords: [{ name: HOST, type: "A", content: "127.20.0.11", proxied: true }],
  sslMode: "strict",
  cloudflareRanges: RANGES,
  cluster: {
    nodes: [{ metadata: { name: "a" }, status: ready }],
    pods: [
      {
        metadata: { name: "traefik-1", labels: { "app.kubernetes.io/name": "traefik" } },
        spec: { nodeName: "a", containers: [] },
        status: { phase: "Running", ...ready },
      },
    ],
    services: [{ metadata: { namespace: "honeydue", name: "api" }, spec: { ports: [{ port: 8000, name: "http" }] } }],
    endpointSlices: [
      {
        addressType: "IPv4",
        metadata: { namespace: "honeydue", labels: { "kubernetes.io/service-name": "api" } },
        endpoints: [{ addresses: ["10.42.0.5"], conditions: { ready: true } }],
      },
    ],
    ingresses: [
      {
        metadata: { namespace: "honeydue", name: "api" },
        spec: {
          rules: [
            {
              host: HOST,
              http: {
                paths: [
                  { path: "/", pathType: "Prefix", backend: { service: { name: "api", port: { number: 8000 } } } },
                ],
              },
            },
          ],
        },
      },
    ],
    deployments: [],
    statefulSets: [],
    daemonSets: [],
  },
});

const withCluster = (part: Partial<Inspection["cluster"]>): Inspection => {
  const seen = well();
  return { ...seen, cluster: { ...seen.cluster, ...part } };
};

test("a whole route names every hop", () => {
  expect(routes(well())).toEqual([
    {
      host: HOST,
      path: [
        "edge (1 proxied records, TLS strict)",
        "nodes a",
        "Traefik (1 pods)",
        "service honeydue/api:8000",
        "1 pod",
      ],
      ok: true,
      problems: [],
    },
  ]);
});

test.each<[string, Inspection, string[]]>([
  ["no DNS record", { ...well(), dnsRecords: [] }, [`no DNS record for ${HOST}`]],
  [
    "a record that is not proxied",
    { ...well(), dnsRecords: [{ name: HOST, type: "A", content: "127.20.0.11", proxied: false }] },
    [`1 records of ${HOST} are not proxied: they show the nodes' addresses`],
  ],
  [
    "a record that leads elsewhere",
    { ...well(), dnsRecords: [{ name: HOST, type: "A", content: "198.51.100.66", proxied: true }] },
    ["198.51.100.66 belongs to no server"],
  ],
  ["a server that is off", { ...well(), servers: [{ ...well().servers[0]!, status: "off" }] }, ["server a is off"]],
  [
    "a server without a firewall",
    { ...well(), servers: [{ ...well().servers[0]!, public_net: { ipv4: { ip: "127.20.0.11" }, firewalls: [] } }] },
    ["server a has no firewall: every port is open"],
  ],
  [
    "a firewall that refuses one of Cloudflare's ranges",
    {
      ...well(),
      firewalls: [
        {
          id: 7,
          name: "f",
          rules: [{ direction: "in", protocol: "tcp", port: "443", source_ips: ["173.245.48.0/20"] }],
        },
      ],
    },
    ["the firewall of a refuses 2400:cb00::/32 on 443"],
  ],
  ["a node that is not Ready", withCluster({ nodes: [{ metadata: { name: "a" } }] }), ["node a is not Ready"]],
  ["no Traefik on a node", withCluster({ pods: [] as V1Pod[] }), ["no Traefik pod runs on a"]],
  ["no Ingress", withCluster({ ingresses: [] }), [`no Ingress rule for ${HOST}`]],
  ["no Service", withCluster({ services: [] }), ["there is no Service honeydue/api with port 8000"]],
  [
    "another port",
    withCluster({ services: [{ metadata: { namespace: "honeydue", name: "api" }, spec: { ports: [{ port: 80 }] } }] }),
    ["there is no Service honeydue/api with port 8000"],
  ],
  ["no ready pod", withCluster({ endpointSlices: [] }), ["Service honeydue/api has no ready pod"]],
])("%s ends the route, with its reason", (_, seen, problems) => {
  expect(routes(seen)).toMatchObject([{ host: HOST, ok: false, problems }]);
});
