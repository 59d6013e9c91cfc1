import { chainOf, slug } from "../../../../components/ingress/charts/http-options";
import { traefiks } from "../../../../components/ingress/charts/traefiks";
import type { HttpArgs } from "../../../../model/definition";
import honeydue from "../../../../stacks/honeydue";
import { honeydueSettings } from "../../../model/honeydue.fixture";
import { dynamicConfigIn, ofKind, subjectOf } from "../../../rules/platforms.fixture";

const emergency = { ...honeydueSettings, values: { ...honeydueSettings.values, emergency: "direct" } };

/** honeyDue whose api says this of itself. */
const withHttp = (http: HttpArgs, settings = honeydueSettings) => {
  const api = honeydue.services["api"];
  if (api?.kind !== "service") throw new Error("the api is a service");
  const services = { ...honeydue.services, api: { ...api, http } };
  return subjectOf({ ...honeydue, services }, settings);
};

const chain = ({ platform }: ReturnType<typeof withHttp>): Record<string, object> =>
  Object.fromEntries(
    chainOf(
      traefiks(platform)[0],
      platform.edge.routes.find(({ service }) => service === "api")!,
    ),
  );

test("a service that says nothing may be shown in its own frames, is compressed and asked again where no pod took the request", () => {
  expect(chain(withHttp({}))).toEqual({
    "frames-same-origin": { headers: { customFrameOptionsValue: "SAMEORIGIN" } },
    compressed: { compress: { encodings: ["gzip", "br"], includedContentTypes: expect.any(Array) } },
    "retries-2": { retry: { attempts: 3, initialInterval: "100ms" } },
  });
});

test("the operators' addresses pass first, by the one that Cloudflare wrote, or by the one that connects where nobody stands between", () => {
  const open = chain(withHttp({ onlyFrom: "operators", rateLimit: { perSecond: 10 } }));
  // The entry point's middlewares come before a route's own (v3.7: applyModel in pkg/server/aggregator.go).
  expect(Object.keys(open).slice(0, 2)).toEqual(["operators-only", "api-rate"]);
  expect(open["operators-only"]).toEqual({
    ipAllowList: { sourceRange: ["203.0.113.7/32"], ipStrategy: { depth: 1 } },
  });
  expect(chain(withHttp({ onlyFrom: "operators" }, emergency))["operators-only"]).toEqual({
    ipAllowList: { sourceRange: ["203.0.113.7/32"] },
  });
});

test("every option is a middleware, the limits before the work", () => {
  const own = chain(
    withHttp({
      maxBody: "20Mi",
      rateLimit: { perSecond: 10, burst: 50 },
      retries: 1,
      frames: "deny",
      contentSecurityPolicy: "default-src 'self'",
    }),
  );
  expect(Object.keys(own)).toEqual([
    "api-rate",
    "frames-deny",
    "api-content-security-policy",
    "compressed",
    "api-body",
    "retries-1",
  ]);
  expect(own).toMatchObject({
    "api-body": { buffering: { maxRequestBodyBytes: 20 * 1024 * 1024 } },
    "frames-deny": { headers: { customFrameOptionsValue: "DENY" } },
    "api-content-security-policy": { headers: { contentSecurityPolicy: "default-src 'self'" } },
    "retries-1": { retry: { attempts: 2 } },
  });
});

test("what is switched off is not there at all", () => {
  expect(chain(withHttp({ retries: 0, compress: false, frames: "any" }))).toEqual({});
  const { manifests } = withHttp({ retries: 0, compress: false, frames: "any" });
  const api = ofKind(manifests, "Ingress").find(({ metadata }) => metadata.name === "api")!;
  expect(api.metadata.annotations).not.toHaveProperty(["traefik.ingress.kubernetes.io/router.middlewares"]);
});

test("counts requests by the visitor: whom Cloudflare names, or in an emergency who connects, and all of a /64 as one", () => {
  const rateLimit = { perSecond: 10 };
  const limitOf = (settings: typeof honeydueSettings): object => chain(withHttp({ rateLimit }, settings))["api-rate"]!;
  expect(limitOf(honeydueSettings)).toEqual({
    rateLimit: { average: 10, burst: 10, sourceCriterion: { ipStrategy: { depth: 1, ipv6Subnet: 64 } } },
  });
  expect(limitOf(emergency)).toEqual({
    rateLimit: { average: 10, burst: 10, sourceCriterion: { ipStrategy: { ipv6Subnet: 64 } } },
  });
});

test("never compresses a stream of events, which would wait for more", () => {
  const { compress } = chain(withHttp({}))["compressed"] as { compress: { includedContentTypes: string[] } };
  expect(compress.includedContentTypes).toContain("application/json");
  expect(compress.includedContentTypes).not.toContain("text/event-stream");
});

test("a service's Service names how long Traefik waits for its pods", () => {
  const { manifests } = withHttp({ answersWithinSeconds: 90 });
  const service = (name: string) => ofKind(manifests, "Service").find(({ metadata }) => metadata.name === name)!;
  expect(service("api").metadata.annotations).toEqual({
    "traefik.ingress.kubernetes.io/service.serverstransport": "within-90-seconds@file",
  });
  expect(dynamicConfigIn(manifests, "traefik").http.serversTransports).toMatchObject({
    "within-90-seconds": {
      forwardingTimeouts: { dialTimeout: "2s", responseHeaderTimeout: "90s", idleConnTimeout: "4s" },
    },
    "within-60-seconds": { forwardingTimeouts: { responseHeaderTimeout: "60s" } },
  });
});

test("a service that nobody reaches through Traefik says nothing about it", () => {
  const { manifests } = subjectOf(honeydue, honeydueSettings);
  const inside = ofKind(manifests, "Service").filter(({ metadata }) => metadata.name.startsWith("redis-"));
  expect(inside.length).toBeGreaterThan(0);
  for (const { metadata } of inside) expect(metadata.annotations).toBeUndefined();
});

test("gRPC is HTTP/2 to the pod, without what is made for browsers, and may send for as long as it likes", () => {
  const subject = withHttp({ protocol: "grpc" });
  expect(Object.keys(chain(subject))).toEqual(["retries-2"]);
  const service = ofKind(subject.manifests, "Service").find(({ metadata }) => metadata.name === "api")!;
  expect(service.metadata.annotations).toMatchObject({
    "traefik.ingress.kubernetes.io/service.serversscheme": "h2c",
  });
  expect(JSON.stringify(subject.manifests)).toContain("respondingTimeouts.readTimeout=0s");
  expect(JSON.stringify(withHttp({}).manifests)).toContain("respondingTimeouts.readTimeout=300s");
});

test("long bodies wait in files, for which there is room for twenty of the longest; nobody else gets a writable folder", () => {
  const podOf = ({ manifests }: ReturnType<typeof withHttp>) =>
    ofKind<{ template: { spec: { volumes: object[]; containers: { volumeMounts: object[]; resources: object }[] } } }>(
      manifests,
      "DaemonSet",
    )[0]!.spec.template.spec;
  const pod = podOf(withHttp({ maxBody: "50Mi" }));
  expect(pod.volumes).toContainEqual({ name: "bodies", emptyDir: { sizeLimit: "1000Mi" } });
  expect(pod.containers[0]!.volumeMounts).toContainEqual({ name: "bodies", mountPath: "/tmp" });
  expect(pod.containers[0]!.resources).toMatchObject({ limits: { "ephemeral-storage": "2024Mi" } });
  expect(JSON.stringify(podOf(withHttp({})))).not.toContain("emptyDir");
});

test("a path's name says the path, and no two paths have one name", () => {
  expect(slug("/api/v1/ndvi")).toBe("api-v1-ndvi");
  const names = ["/a/b", "/a-b", "/A/b", "/a.b", "/", "/%C3%BC"].map(slug);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
});
