import { definePlatform, service } from "../../model/definition";
import { resolve } from "../../model/resolve";
import type { RawSettings } from "../../model/settings";

const settings = (values: object = {}): RawSettings => ({
  stack: "full",
  source: "stacks/Pulumi.full.yaml",
  values: {
    operators: ["203.0.113.7/32"],
    cloudflareAccountId: "0123456789abcdef0123456789abcdef",
    cloudflareZoneId: "fedcba9876543210fedcba9876543210",
    images: { site: `registry.example/site@sha256:${"f".repeat(64)}` },
    ...values,
  },
  secretNames: [],
});

/** Takes all that two of three cax11 have for pods: 4096 MiB less 2048 for the system and 192 for Traefik, each. */
const full = definePlatform({
  name: "full",
  domain: "full.example",
  cluster: { location: "hel1", serverType: "cax11", k3s: "v1.36.4+k3s1" },
  edge: { kind: "proxied", tls: "strict" },
  services: {
    site: service({
      image: "site",
      port: 8080,
      replicas: 2,
      hosts: ["@"],
      resources: { memory: "1856Mi" },
      health: { ready: "/" },
    }),
  },
});

const codes = (...[definition, values]: [typeof full, object?]): string[] =>
  (resolve(definition, settings(values)).problems ?? []).map(({ code, reason }) => `${code} ${reason}`);

test("connectors need room, too, of the users' tunnel and of the operators'", () => {
  expect(codes(full)).toEqual([]);
  const tunnel = { kind: "tunnel", connectors: 3 } as const;
  expect(codes({ ...full, edge: tunnel })).toEqual([
    expect.stringMatching(/^HZ005 all pods together ask for 4096Mi, /),
  ]);
  // One on each of three servers, though nothing is guarded.
  const toApi = { team: "full", emails: ["somebody@full.example"], kubernetesApi: "access" } as const;
  expect(codes({ ...full, edge: { ...full.edge, operators: toApi } })).toEqual([
    expect.stringMatching(/^HZ005 all pods together ask for 4096Mi, /),
  ]);
  const { site } = full.services;
  const guarded = { ...full, services: { site: { ...site, guard: "operators" } } } as const;
  const operators = { team: "full", emails: ["somebody@full.example"] };
  expect(codes({ ...guarded, edge: { ...full.edge, operators } } as typeof full)).toEqual([
    expect.stringMatching(/^HZ005 all pods together ask for 3968Mi, /),
  ]);
});

test("the maintenance page needs room while it stands in for something", () => {
  expect(codes(full, { maintenance: ["site"] })).toEqual([
    expect.stringMatching(/^HZ005 all pods together ask for 3744Mi, /),
  ]);
});
