import type { Manifest } from "../../components/charts";
import type { Platform } from "../../model/platform";
import { routeUrl, walk } from "../../model/walk";
import { dynamicConfigIn, ofKind, onServers, type Subject, subjects, workloadsIn } from "./platforms.fixture";
import { admits, type End, podsOf } from "./policy-judge.fixture";

interface IngressSpec {
  rules: {
    host: string;
    http: {
      paths: {
        path: string;
        pathType: string;
        backend: { service: { name: string; port: { number: number } } };
      }[];
    };
  }[];
}
interface ServiceSpec {
  selector: Record<string, string>;
  ports: { port: number; targetPort: string }[];
}

/** What the objects do with a URL: the pods and the port that it reaches, or nothing. Knows no model but the tunnels' rules. */
const arrivesAt = ({ platform, manifests }: Subject, url: URL): string | undefined => {
  const { edge } = platform;
  const tunnels = [
    ...(edge.kind === "tunnel" && edge.mode === "cloudflare" ? [["users-connector", edge.tunnel] as const] : []),
    ...(edge.operators?.tunnel === undefined ? [] : [["operators-connector", edge.operators.tunnel] as const]),
  ];
  // The record of the name itself comes before that of the wildcard, whichever tunnel each leads to.
  const best = ([, { rules }]: (typeof tunnels)[number]): number =>
    Math.max(0, ...rules.map(({ hostname }) => hostScore(hostname, url.hostname)));
  const [tunnel] = [...tunnels].sort((one, other) => best(other) - best(one));
  if (tunnel !== undefined && best(tunnel) > 0) {
    const [connector, { rules }] = tunnel;
    const rule = rules.find(
      ({ hostname, path }) =>
        hostScore(hostname, url.hostname) > 0 && (path === undefined || new RegExp(path).test(url.pathname)),
    );
    if (rule === undefined) return undefined;
    // A static pod of the servers has no address of its own.
    const from = podsOf(manifests).find(({ name }) => name === connector) ?? server(platform);
    const target = new URL(rule.service);
    const [name, namespace] = target.hostname.split(".");
    const end = behind(manifests, from, name!, namespace!, Number(target.port));
    return end?.name === "traefik" ? byIngress(manifests, platform, end.end, url) : end && `${end.name}:${end.port}`;
  }
  const onServer = workloadsIn(manifests).find(({ pod }) => pod.hostNetwork === true);
  const listens = onServer?.pod.containers[0]?.ports?.some(({ name, hostPort }) => name === "public" && hostPort);
  if (listens !== true) return undefined;
  return byIngress(manifests, platform, server(platform), url);
};

const server = ({ cluster }: Platform): End => ({ name: "a server", address: cluster.servers[0]!.privateAddress });

/** How well a host fits: 0 not at all, 1 by the wildcard, 2 by name. */
const hostScore = (pattern: string, host: string): number => {
  if (pattern === host) return 2;
  return pattern.startsWith("*.") && host.split(".").slice(1).join(".") === pattern.slice(2) ? 1 : 0;
};

interface Rule {
  fits: boolean;
  priority: number;
  /** Nothing for what a middleware answers. */
  to: { name: string; port: { number: number } } | undefined;
}

/** As Traefik 3.7 decides: the greatest priority of all rules that match, by default the rule's length. */
const byIngress = (manifests: readonly Manifest[], platform: Platform, from: End, url: URL): string | undefined => {
  const { middlewares, routers = {} } = dynamicConfigIn(manifests, onServers(platform)[0] ?? "traefik").http;
  const letsNobodyPass = (names: string | undefined): boolean =>
    (names?.split(",") ?? [])
      .map((name) => middlewares[name.replace("@file", "")]?.["ipAllowList"] as { sourceRange: string[] } | undefined)
      .some((list) => list?.sourceRange.join() === "0.0.0.0/32");

  const rules: Rule[] = ofKind<IngressSpec>(manifests, "Ingress").flatMap(({ metadata, spec }) =>
    spec.rules.flatMap(({ host, http }) =>
      http.paths.map(({ path, pathType, backend: { service } }) => {
        const own = path.replace(/\/$/, "");
        const isExact = pathType === "Exact";
        const text = `Host("${host}") && ${isExact ? `Path("${path}")` : path === "/" ? 'PathPrefix("/")' : `(Path("${own}") || PathPrefix("${own}/"))`}`;
        const fits = isExact
          ? url.pathname === path
          : path === "/" || url.pathname === own || url.pathname.startsWith(`${own}/`);
        return {
          fits: fits && hostScore(host, url.hostname) > 0,
          priority: Number(
            metadata.annotations?.["traefik.ingress.kubernetes.io/router.priority"] ?? String(text.length),
          ),
          to: letsNobodyPass(metadata.annotations?.["traefik.ingress.kubernetes.io/router.middlewares"])
            ? undefined
            : service,
        };
      }),
    ),
  );
  // The file's own routers redirect.
  for (const { rule } of Object.values(routers))
    rules.push({ fits: rule === `Host(\`${url.hostname}\`)`, priority: rule.length, to: undefined });
  const [first] = rules.filter(({ fits }) => fits).sort((one, other) => other.priority - one.priority);
  if (first?.to === undefined) return undefined;
  const end = behind(manifests, from, first.to.name, platform.namespace, first.to.port.number);
  return end && `${end.name}:${end.port}`;
};

/** The pods behind a Service and the port that they listen on, where the policies let this end reach it. */
const behind = (manifests: readonly Manifest[], from: End, name: string, namespace: string, port: number) => {
  const service = ofKind<ServiceSpec>(manifests, "Service").find(
    ({ metadata }) => metadata.name === name && metadata.namespace === namespace,
  );
  const target = service?.spec.ports.find((one) => one.port === port)?.targetPort;
  const end = podsOf(manifests).find((pod) => pod.name === name && pod.namespace === namespace);
  const container = workloadsIn(manifests)
    .find((one) => one.name === name && one.namespace === namespace)
    ?.pod.containers.flatMap(({ ports = [] }) => ports)
    .find((one) => one.name === target)?.containerPort;
  if (end === undefined || container === undefined) return undefined;
  return admits(manifests, from, end, container, "TCP") ? { name, end, port: container } : undefined;
};

/** Where the model says that the walk ends. */
const walkedTo = ({ platform }: Subject, url: URL): string | undefined => {
  const { arrives, hops } = walk(platform, url);
  const last = hops.at(-1)!;
  if (!arrives) return undefined;
  const [, name, port] = /^(\S+) x\d+ on (\d+)$/.exec(last.says) ?? [];
  return `${name}:${port}`;
};

describe.each(subjects)("the ways in to %s", (_, subject) => {
  const { platform } = subject;
  const resting = ({ service }: { service: string }): boolean =>
    platform.maintenance.includes("*") || platform.maintenance.includes(service);

  test("every route that the model walks to a container is walked there by the objects, too", () => {
    expect(platform.edge.routes.length).toBeGreaterThan(0);
    for (const route of platform.edge.routes) {
      const url = routeUrl(platform, route);
      const end = resting(route) ? "maintenance:8080" : `${route.service}:${route.port}`;
      expect([url.href, arrivesAt(subject, url)]).toEqual([url.href, end]);
      expect([url.href, walkedTo(subject, url)]).toEqual([url.href, resting(route) ? undefined : end]);
    }
  });

  test("what is near a route, and not on it, ends where the model says", () => {
    const near = platform.edge.routes
      .filter((route) => !resting(route))
      .map((route) => routeUrl(platform, route))
      .flatMap(({ origin, pathname }) =>
        ["x", "/deeper", "/../x"].map((more) => new URL(`${origin}${pathname === "/" ? "" : pathname}${more}`)),
      );
    const elsewhere = ["nobody", "too.deep"].map((label) => new URL(`https://${label}.${platform.domain}/`));
    for (const url of [...near, ...elsewhere, new URL(`https://other.example/`)]) {
      const { hops } = walk(platform, url);
      if (hops.at(-1)?.closed?.path === "trivet:maintenance") continue;
      expect([url.href, arrivesAt(subject, url)]).toEqual([url.href, walkedTo(subject, url)]);
    }
  });
});
