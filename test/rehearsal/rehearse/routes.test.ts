import type { V1Pod } from "@kubernetes/client-node";
import type { EdgeView, Inspection } from "../../../rehearsal/rehearse/inspection";
import { routes } from "../../../rehearsal/rehearse/routes";

const HOST = "api.honeydue.example";
const RANGES = ["173.245.48.0/20", "2400:cb00::/32"];
const NO_EDGE: EdgeView = { tunnels: [], redirects: [], accessApplications: [], pagesProjects: [] };
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
  edge: NO_EDGE,
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
      kind: "service",
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

test("what takes the rest of a name from the wildcard hands it to nobody, and is no hop", () => {
  const { ingresses } = well().cluster;
  const metadata = {
    namespace: "honeydue",
    name: "web.nowhere",
    annotations: { "traefik.ingress.kubernetes.io/router.middlewares": "nowhere@file" },
  };
  expect(routes(withCluster({ ingresses: [...ingresses, { ...ingresses[0], metadata }] }))).toEqual(routes(well()));
  expect(routes(withCluster({ ingresses: [{ ...ingresses[0], metadata }] }))[0]?.problems).toEqual([
    `no Ingress rule for ${HOST}`,
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

test("a record past Cloudflare that nothing in the cluster answers for is somebody's own, and no route", () => {
  const own = { name: "git.honeydue.example", type: "A", content: "192.0.2.7", proxied: false };
  const mail = { name: "honeydue.example", type: "MX", content: "mx.mail.example", proxied: false };
  expect(routes({ ...well(), dnsRecords: [...well().dnsRecords, own, mail] }).map(({ host }) => host)).toEqual([HOST]);
});

test("while Cloudflare is bypassed, grey records and a firewall open to everybody are right", () => {
  const [record] = well().dnsRecords;
  const [firewall] = well().firewalls;
  const open = { direction: "in", protocol: "tcp", port: "443", source_ips: ["0.0.0.0/0", "::/0"] };
  const seen = {
    ...well(),
    dnsRecords: [{ ...record!, proxied: false }],
    firewalls: [{ ...firewall!, rules: [open] }],
  };
  expect(routes(seen)).toMatchObject([{ ok: true, path: ["no edge (1 records)", "nodes a", ...whole.slice(2)] }]);
});

const whole = [
  "edge (1 proxied records, TLS strict)",
  "nodes a",
  "Traefik (1 pods)",
  "service honeydue/api:8000",
  "1 pod",
];

describe("behind a tunnel", () => {
  const ID = "c1744f8b-faa1-48a4-9e5c-02ac921467fa";
  const cname = (name: string, content = `${ID}.cfargotunnel.com`) => ({ name, type: "CNAME", content, proxied: true });
  const connector = (whose: string, index: number): V1Pod => ({
    metadata: {
      name: `${whose}-${index}`,
      labels: { "app.kubernetes.io/name": `${whose}-connector`, "app.kubernetes.io/component": "connector" },
    },
    status: { phase: "Running", ...ready },
  });
  const slice = (namespace: string, name: string) => ({
    addressType: "IPv4",
    metadata: { namespace, labels: { "kubernetes.io/service-name": name } },
    endpoints: [{ addresses: ["10.42.0.6"], conditions: { ready: true } }],
  });

  /** One host through Traefik, with one path straight to the service. */
  const tunnelled = (change: Partial<Inspection["edge"]> = {}): Inspection => {
    const seen = well();
    return {
      ...seen,
      firewalls: [],
      dnsRecords: [cname(HOST)],
      edge: {
        ...NO_EDGE,
        tunnels: [
          {
            id: ID,
            name: "honeydue",
            rules: [
              { hostname: HOST, path: "^/v1(/|$)", service: "http://api.honeydue.svc:8000" },
              { hostname: HOST, service: "http://traefik.ingress.svc:8000" },
              { service: "http_status:404" },
            ],
          },
        ],
        ...change,
      },
      cluster: {
        ...seen.cluster,
        pods: [connector("users", 1), connector("users", 2)],
        services: [
          ...seen.cluster.services,
          { metadata: { namespace: "ingress", name: "traefik" }, spec: { ports: [{ port: 8000 }] } },
        ],
        endpointSlices: [...seen.cluster.endpointSlices, slice("ingress", "traefik")],
      },
    };
  };

  test("a route goes by the connectors, rule by rule", () => {
    expect(routes(tunnelled())).toEqual([
      {
        host: HOST,
        kind: "service",
        path: [
          "edge (1 proxied record)",
          "connectors (2 pods)",
          "service honeydue/api:8000 for ^/v1(/|$)",
          "1 pod",
          "or",
          "service ingress/traefik:8000",
          "1 pod",
          "service honeydue/api:8000",
          "1 pod",
        ],
        ok: true,
        problems: [],
      },
    ]);
  });

  const rules = tunnelled().edge.tunnels[0]!.rules;
  const withRules = (changed: typeof rules): Inspection =>
    tunnelled({ tunnels: [{ id: ID, name: "honeydue", rules: changed }] });
  test.each<[string, Inspection, string]>([
    ["a tunnel that is gone", tunnelled({ tunnels: [] }), `${ID}.cfargotunnel.com is no tunnel`],
    ["no rule for the host", withRules(rules.slice(2)), `no rule of the tunnel honeydue takes ${HOST}`],
    ["no catch-all", withRules(rules.slice(0, 2)), "the last rule of the tunnel honeydue does not catch all"],
    [
      "a rule to nowhere",
      withRules([{ hostname: HOST, service: "http://web.honeydue.svc:3000" }, rules[2]!]),
      "there is no Service honeydue/web with port 3000",
    ],
    [
      "no connector",
      { ...tunnelled(), cluster: { ...tunnelled().cluster, pods: [] } },
      "no connector of the tunnel honeydue is ready",
    ],
    [
      "one connector",
      { ...tunnelled(), cluster: { ...tunnelled().cluster, pods: [connector("users", 1), connector("operators", 1)] } },
      "the tunnel honeydue has one connector: a node that goes takes it along",
    ],
    [
      "a record that is not proxied",
      { ...tunnelled(), dnsRecords: [{ ...cname(HOST), proxied: false }] },
      `${HOST} is not proxied: nobody but Cloudflare reaches a tunnel`,
    ],
  ])("%s ends the route, with its reason", (_, seen, problem) => {
    expect(routes(seen)).toMatchObject([{ host: HOST, ok: false, problems: [problem] }]);
  });

  test("what is guarded needs an application of Access that lets somebody pass, and a token at the connector", () => {
    const guarded = (rule: object, accessApplications: Inspection["edge"]["accessApplications"]) => {
      const seen = tunnelled({
        tunnels: [
          {
            id: ID,
            name: "honeydue-operators",
            rules: [{ hostname: HOST, service: "http://api.honeydue.svc:8000", ...rule }, rules[2]!],
          },
        ],
        accessApplications,
      });
      const pods = [connector("operators", 1), connector("operators", 2)];
      return routes({ ...seen, cluster: { ...seen.cluster, pods, ingresses: [] } })[0]!;
    };
    const asked = { originRequest: { access: { required: true } } };
    expect(guarded(asked, [{ domain: HOST, policies: [{}] }])).toMatchObject({
      guard: "access",
      ok: true,
      path: ["edge (1 proxied record)", "Access", "connectors (2 pods)", "service honeydue/api:8000", "1 pod"],
    });
    expect(guarded(asked, []).problems).toEqual([`Cloudflare Access does not guard ${HOST}`]);
    expect(guarded(asked, [{ domain: HOST, policies: [] }]).problems).toEqual([
      `Cloudflare Access lets nobody pass to ${HOST}`,
    ]);
  });

  test("the Kubernetes API ends at the connectors on the servers", () => {
    const asked = { originRequest: { access: { required: true } } };
    const host = "k8s-a.honeydue.example";
    const seen = tunnelled({
      tunnels: [
        {
          id: ID,
          name: "honeydue-operators",
          rules: [{ hostname: host, service: "tcp://10.0.1.11:6443", ...asked }, rules[2]!],
        },
      ],
      accessApplications: [{ domain: host, policies: [{}] }],
    });
    expect(routes({ ...seen, dnsRecords: [cname(host)], cluster: { ...seen.cluster, ingresses: [] } })).toMatchObject([
      {
        kind: "api",
        ok: true,
        path: [expect.any(String), "Access", "connectors on the servers", "Kubernetes API 10.0.1.11:6443"],
      },
    ]);
  });

  test("sites end at their Pages project, which must answer for the name", () => {
    const seen = (domains: string[]): Inspection => ({
      ...tunnelled({ pagesProjects: [{ name: "honeydue-brand", domains }] }),
      dnsRecords: [cname("honeydue.example", "honeydue-brand.pages.dev")],
      cluster: { ...tunnelled().cluster, ingresses: [] },
    });
    expect(routes(seen(["honeydue.example"]))).toMatchObject([{ kind: "site", ok: true }]);
    expect(routes(seen([]))[0]!.problems).toEqual([
      "the Pages project honeydue-brand does not answer for honeydue.example",
    ]);
  });
});

test("a redirect ends at the zone, and needs a proxied record, or nobody ever meets it", () => {
  const www = "www.honeydue.example";
  const redirects = [
    { expression: `http.host eq "${www}"`, enabled: true, action_parameters: { from_value: { status_code: 301 } } },
  ];
  const seen = (proxied: boolean): Inspection => ({
    ...well(),
    edge: { ...NO_EDGE, redirects },
    dnsRecords: [{ name: www, type: "A", content: "192.0.2.1", proxied }],
    cluster: { ...well().cluster, ingresses: [] },
  });
  expect(routes(seen(true))).toEqual([
    { host: www, kind: "redirect", path: ["edge (redirect, 301)"], ok: true, problems: [] },
  ]);
  // Then it is somebody's own record.
  expect(routes(seen(false))).toEqual([]);
});
