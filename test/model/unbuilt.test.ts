import type { PlatformDefinition, ServiceDefinition } from "../../model/definition";
import { resolve } from "../../model/resolve";
import { ASKED, type EdgePart, UNBUILT } from "../../model/unbuilt";
import honeydue from "../../stacks/honeydue";
import { honeydueSettings } from "./honeydue.fixture";

/** honeyDue, asking for nothing of the edge that could be left out. */
const { guard: _, ...admin } = honeydue.services["admin"] as ServiceDefinition;
const plain: PlatformDefinition = {
  ...honeydue,
  edge: { kind: "proxied", tls: "strict" },
  services: { ...honeydue.services, admin },
};
const operators = { team: "honeydue", emails: ["ops@honeydue.example"] };
const edge = (more: object): Partial<PlatformDefinition> => ({ edge: { kind: "proxied", tls: "strict", ...more } });
const api = (more: object): Partial<PlatformDefinition> => ({
  services: { ...plain.services, api: { ...plain.services["api"]!, ...more } },
});

interface Asking {
  readonly definition?: Partial<PlatformDefinition>;
  readonly values?: Readonly<Record<string, unknown>>;
  readonly path: string;
}

/** One way to ask for each part that can be asked for; `originPulls` and `edgeMetrics` come by themselves. */
const ASKING: Readonly<Record<Exclude<EdgePart, "originPulls" | "edgeMetrics">, Asking>> = {
  tunnel: { definition: { edge: { kind: "tunnel", operators } }, path: "edge.kind" },
  port: { definition: edge({ port: 8443 }), path: "edge.port" },
  paths: { definition: api({ hosts: ["api", { host: "@", path: "/v1" }] }), path: "services.api.hosts[1]" },
  wildcard: { definition: api({ hosts: ["api", "@", "*"] }), path: "services.api.hosts[2]" },
  http: { definition: api({ http: { retries: 1 } }), path: "services.api.http.retries" },
  sites: { definition: { sites: { brand: { kind: "site", hosts: ["brand"] } } }, path: "sites.brand" },
  hsts: { definition: edge({ zone: { hsts: "off" } }), path: "edge.zone.hsts" },
  http3: { definition: edge({ zone: { http3: false } }), path: "edge.zone.http3" },
  dnssec: { definition: edge({ zone: { dnssec: true } }), path: "edge.zone.dnssec" },
  rateLimits: {
    definition: edge({ zone: { rateLimits: [{ path: "/login", requests: 5, seconds: 10 }] } }),
    path: "edge.zone.rateLimits",
  },
  managedRules: {
    definition: edge({ zone: { plan: "pro", managedRules: true } }),
    path: "edge.zone.managedRules",
  },
  redirects: { definition: edge({ zone: { redirects: [{ from: "www", to: "@" }] } }), path: "edge.zone.redirects" },
  caching: { definition: api({ http: { cache: "nothing" } }), path: "services.api.http.cache" },
  records: { definition: edge({ zone: { mail: "none" } }), path: "edge.zone.mail" },
  access: { definition: edge({ operators }), path: "edge.operators" },
  accessToApi: {
    definition: edge({ operators: { ...operators, kubernetesApi: "access" } }),
    path: "edge.operators.kubernetesApi",
  },
  tailscale: {
    definition: edge({ operators: { ...operators, kubernetesApi: "tailscale" } }),
    path: "edge.operators.kubernetesApi",
  },
  emergency: { values: { emergency: "direct" }, path: "trivet:emergency" },
  maintenance: { values: { maintenance: ["api"] }, path: "trivet:maintenance" },
};

test.each(Object.entries(ASKING) as [EdgePart, Asking][])(
  "%s is refused while no component makes it, and taken when one does",
  (part, { definition, values, path }) => {
    const ask = (unbuilt: readonly EdgePart[]) =>
      resolve(
        { ...plain, ...definition },
        { ...honeydueSettings, values: { ...honeydueSettings.values, ...values } },
        new Set(unbuilt),
      );
    expect(ask([part]).problems).toMatchObject([{ code: "CF007", path }]);
    expect(ask([]).problems).toBeUndefined();
  },
);

test("a setting that says what holds without it asks for nothing, also as the engine hands it over", () => {
  const values = {
    ...honeydueSettings.values,
    emergency: "off",
    maintenance: "[]",
    adoptTunnels: {},
    operatorEmails: [],
  };
  const parts = Object.keys(ASKED) as EdgePart[];
  expect(resolve(plain, { ...honeydueSettings, values }, new Set(parts)).problems).toBeUndefined();
});

test("what is left out of the list is a part that there is", () => {
  expect([...UNBUILT].filter((part) => !Object.hasOwn(ASKED, part))).toEqual([]);
});
