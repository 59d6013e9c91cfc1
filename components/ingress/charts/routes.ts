import { Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import type { Platform, Route } from "../../../model/platform";
import { isUnderMaintenance } from "../../../model/routes";
import { labelsOf } from "../../pods/charts/labels";
import { chainOf, isWildcard, routesOf, slug } from "./http-options";
import { MAINTENANCE_PORT, MAINTENANCE_SERVICE } from "./maintenance";
import { ENTRY_POINT } from "./middlewares";
import { hostsWithoutRoot, NOWHERE } from "./nowhere";
import { INGRESS_CLASS } from "./static-args";
import { traefiks } from "./traefiks";

/**
 * The ways to the services as plain Ingress objects: one a service, and one more for what must be said apart, since annotations
 * hold for all of an object's paths.
 */
export class RoutesChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform) {
    super(scope, id, { disableResourceNameHashes: true });
    const [traefik] = traefiks(platform);
    const all = routesOf(platform);
    for (const [object, routes] of grouped(all)) {
      const [{ service }] = routes;
      const resting = isUnderMaintenance(platform.maintenance, service);
      this.#ingress(platform, object, {
        service,
        middlewares: resting ? [] : chainOf(traefik, routes[0]).map(([name]) => name),
        priority: priorityOf(routes[0]),
        ways: routes.map(({ fqdn, path, exact, port }) => ({
          fqdn,
          path,
          exact,
          backend: resting ? { name: MAINTENANCE_SERVICE, port: MAINTENANCE_PORT } : { name: service, port },
        })),
      });
    }

    const any = all.find(({ fqdn }) => isWildcard(fqdn));
    const hosts = hostsWithoutRoot(all);
    if (any === undefined || hosts.length === 0) return;
    const { service, port } = any;
    this.#ingress(platform, `${service}.${NOWHERE}`, {
      service,
      middlewares: [NOWHERE],
      priority: AFTER_EVERY_OTHER,
      // An Ingress needs a Service behind it: that of the wildcard, which is there as long as there is something to hide. Nobody gets to it.
      ways: hosts.map((fqdn) => ({ fqdn, path: "/", exact: false, backend: { name: service, port } })),
    });
  }

  #ingress({ name, namespace }: Platform, object: string, { service, middlewares, priority, ways }: Ingress): void {
    new k8s.KubeIngress(this, object, {
      metadata: {
        name: object,
        namespace,
        labels: labelsOf(name, service, "service"),
        annotations: {
          "traefik.ingress.kubernetes.io/router.entrypoints": ENTRY_POINT,
          ...(middlewares.length === 0
            ? {}
            : {
                "traefik.ingress.kubernetes.io/router.middlewares": middlewares.map((one) => `${one}@file`).join(","),
              }),
          ...(priority === undefined ? {} : { "traefik.ingress.kubernetes.io/router.priority": String(priority) }),
          // No load balancer ever writes an address into the status, for which Pulumi would wait ten minutes and then fail:
          // Traefik listens on the servers themselves, or behind a tunnel.
          "pulumi.com/skipAwait": "true",
        },
      },
      spec: {
        ingressClassName: INGRESS_CLASS,
        rules: [...new Set(ways.map(({ fqdn }) => fqdn))].map((host) => ({
          host,
          http: {
            paths: ways
              .filter(({ fqdn }) => fqdn === host)
              .map(({ path, exact, backend }) => ({
                path,
                pathType: exact ? "Exact" : "Prefix",
                backend: { service: { name: backend.name, port: { number: backend.port } } },
              })),
          },
        })),
      },
    });
  }
}

interface Ingress {
  /** Whose ways these are. */
  readonly service: string;
  /** Of Traefik's file, from first to last. */
  readonly middlewares: readonly string[];
  /** Undefined: the rule's length. */
  readonly priority: number | undefined;
  readonly ways: readonly {
    readonly fqdn: string;
    readonly path: string;
    readonly exact: boolean;
    readonly backend: { readonly name: string; readonly port: number };
  }[];
}

type Routes = readonly [Route, ...Route[]];

/** By the name of the object they stand in. No service's name has a dot, so no two of these meet. */
const grouped = (routes: readonly Route[]): ReadonlyMap<string, Routes> => {
  const groups = new Map<string, [Route, ...Route[]]>();
  for (const route of routes) {
    const name = objectName(route);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [route]);
    else group.push(route);
  }
  return groups;
};

const objectName = ({ service, fqdn, path, exact, stripPrefix }: Route): string => {
  const any = isWildcard(fqdn);
  const at = (any || stripPrefix) && path !== "/" ? `.at-${slug(path)}` : "";
  return `${service}${any ? ".any" : ""}${exact ? ".exact" : ""}${stripPrefix ? ".stripped" : ""}${at}`;
};

/**
 * Left to itself Traefik asks the longest rule first (v3.7: GetRulePriority in pkg/muxer/http/mux.go), which is right for prefixes
 * of one host, also for those of people's own Ingress objects. It is wrong for one very path, whose rule is shorter than that of
 * its prefix, and for `*.DOMAIN`, which may be longer than a name under it.
 */
const priorityOf = ({ fqdn, path, exact }: Route): number | undefined => {
  if (isWildcard(fqdn)) return LAST + 2 * path.length + (exact ? 1 : 0);
  return exact ? FIRST : undefined;
};

const FIRST = 1_000_000;
/** Of a host's own routes, also those of people's Ingress objects; but before those of `*`. */
const AFTER_EVERY_OTHER = -1;
const LAST = -1_000_000;
