import { setTimeout as delay } from "node:timers/promises";
import { parse } from "yaml";
import { type KubernetesApi, KubernetesApiError, type KubernetesObject } from "../kubernetes-api";

/** Traefik publishes at most every two seconds (providersThrottleDuration); half of that is soon enough here. */
const PUBLISH_PERIOD_MILLISECONDS = 500;
const CONTROLLER = "traefik.io/ingress-controller";

interface Pod extends KubernetesObject {
  spec: {
    serviceAccountName?: string;
    containers: {
      image?: string;
      args?: string[];
      command?: string[];
      env?: { name: string; value?: string }[];
      volumeMounts?: { name: string; mountPath: string; subPath?: string }[];
    }[];
    volumes?: { name: string; configMap?: { name: string; items?: { key: string; path: string }[] } }[];
  };
  status?: { conditions?: { type: string; status: string }[] };
}
export interface Ingress extends KubernetesObject {
  spec: { ingressClassName?: string };
  status?: { loadBalancer?: { ingress?: LoadBalancerAddress[] } };
}
interface LoadBalancerAddress {
  ip?: string;
  hostname?: string;
}

/** Traefik's static configuration, flattened: option in lower case (`providers.kubernetesingress.ingressclass`) to value. */
export type StaticConfig = ReadonlyMap<string, string>;

const TRAEFIK_IMAGE = /(?:^|[/-])traefik(?:[:@]|$)/;

/**
 * Stands for Traefik's Ingress provider, whose pods kwok only simulates: while a Traefik pod is Ready, writes the address into the
 * status of the Ingresses it would serve, as its static configuration says, and with the permissions of its ServiceAccount. Where
 * the real Traefik would publish nothing, nothing is published, and the console says why.
 */
export async function simulateTraefik(
  api: KubernetesApi,
  signal: AbortSignal,
  console: (line: string) => void,
): Promise<void> {
  const pods = new Map<string, Pod>();
  const ingresses = new Map<string, Ingress>();
  let changed = true;
  const follow = async <T extends KubernetesObject>(
    path: string,
    known: Map<string, T>,
    wanted: (object: T) => boolean,
  ): Promise<void> => {
    for await (const event of api.watch(path, signal)) {
      changed = true;
      if (event.type === "RESYNC") {
        known.clear();
        continue;
      }
      const object = event.object as T;
      const key = `${object.metadata.namespace}/${object.metadata.name}`;
      if (event.type !== "DELETED" && wanted(object)) known.set(key, object);
      else known.delete(key);
    }
  };
  const said = new Set<string>();
  const say = (line: string): void => {
    if (!said.has(line)) console(`traefik (simulated): ${line}`);
    said.add(line);
  };
  const publish = async (): Promise<void> => {
    while (!signal.aborted) {
      if (changed) {
        changed = false;
        try {
          await publishOnce(api, [...pods.values()], [...ingresses.values()], say);
        } catch (error) {
          changed = true;
          if (error instanceof KubernetesApiError) say(error.message);
        }
      }
      await delay(PUBLISH_PERIOD_MILLISECONDS, undefined, { signal }).catch(() => undefined);
    }
  };
  await Promise.all([
    follow<Pod>("/api/v1/pods", pods, (pod) => traefikContainer(pod) !== undefined && isReady(pod)),
    follow<Ingress>("/apis/networking.k8s.io/v1/ingresses", ingresses, () => true),
    publish(),
  ]);
}

const traefikContainer = (pod: Pod): Pod["spec"]["containers"][number] | undefined =>
  pod.spec.containers.find(({ image = "" }) => TRAEFIK_IMAGE.test(image));

const isReady = (pod: Pod): boolean =>
  pod.metadata.deletionTimestamp === undefined &&
  (pod.status?.conditions ?? []).some(({ type, status }) => type === "Ready" && status === "True");

async function publishOnce(
  api: KubernetesApi,
  pods: readonly Pod[],
  ingresses: readonly Ingress[],
  say: (line: string) => void,
): Promise<void> {
  const [pod] = [...pods].sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
  if (!pod || ingresses.length === 0) return;
  const config = await readStaticConfig(api, pod);
  const provider = "providers.kubernetesingress";
  if (![...config.keys()].some((key) => key === provider || key.startsWith(`${provider}.`)))
    return say(`the pod ${pod.metadata.name} does not switch the Kubernetes Ingress provider on; no Ingress is served`);
  const user = `system:serviceaccount:${pod.metadata.namespace}:${pod.spec.serviceAccountName ?? "default"}`;
  const classes = await classNames(api);
  const served = ingresses.filter((ingress) => isServed(ingress, config, classes));
  const addresses = await publishedAddresses(api, config, served, say);
  if (addresses === undefined) return;
  for (const ingress of served) {
    const { name, namespace = "" } = ingress.metadata;
    if (JSON.stringify(ingress.status?.loadBalancer?.ingress ?? []) === JSON.stringify(addresses)) continue;
    await api.merge(
      `/apis/networking.k8s.io/v1/namespaces/${namespace}/ingresses/${name}/status`,
      { status: { loadBalancer: { ingress: addresses } } },
      { impersonate: user },
    );
    say(
      `published ${addresses.map(({ ip, hostname }) => ip ?? hostname).join(", ")} as the address of Ingress ${namespace}/${name}`,
    );
  }
}

async function publishedAddresses(
  api: KubernetesApi,
  config: StaticConfig,
  served: readonly Ingress[],
  say: (line: string) => void,
): Promise<LoadBalancerAddress[] | undefined> {
  const endpoint = (key: string): string | undefined =>
    config.get(`providers.kubernetesingress.ingressendpoint.${key}`) || undefined;
  const service = endpoint("publishedservice");
  if (service === undefined) {
    const [ip, hostname] = [endpoint("ip"), endpoint("hostname")];
    if (ip !== undefined || hostname !== undefined)
      return [{ ...(ip === undefined ? {} : { ip }), ...(hostname === undefined ? {} : { hostname }) }];
    const waiting = served.find(({ metadata }) => metadata.annotations?.["pulumi.com/skipAwait"] !== "true");
    if (waiting)
      say(
        "no providers.kubernetesIngress.ingressEndpoint (ip, hostname or publishedService) is set, so Traefik publishes no address; " +
          `Pulumi would wait ten minutes for Ingress ${waiting.metadata.namespace}/${waiting.metadata.name}, which lacks pulumi.com/skipAwait`,
      );
    return undefined;
  }
  const [namespace, name] = service.split("/");
  const object = await api.find(`/api/v1/namespaces/${namespace}/services/${name}`);
  const status = (object?.["status"] ?? {}) as { loadBalancer?: { ingress?: LoadBalancerAddress[] } };
  const published = (status.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ({
    ...(ip ? { ip } : {}),
    ...(hostname ? { hostname } : {}),
  }));
  if (published.length > 0) return published;
  say(
    `the published Service ${service} ${object ? "has no load balancer address" : "does not exist"}, so no address is published`,
  );
  return undefined;
}

async function classNames(api: KubernetesApi): Promise<Set<string>> {
  const list = await api.call<{ items: { metadata: { name: string }; spec: { controller?: string } }[] }>(
    "GET",
    "/apis/networking.k8s.io/v1/ingressclasses",
  );
  return new Set(list.items.filter(({ spec }) => spec.controller === CONTROLLER).map(({ metadata }) => metadata.name));
}

/**
 * Traefik's rule: the namespaces it watches; then the class of the spec or of the old annotation. Without the option `ingressClass` every
 * class of its controller counts.
 */
export function isServed(ingress: Ingress, config: StaticConfig, classes: ReadonlySet<string>): boolean {
  const namespaces = config.get("providers.kubernetesingress.namespaces") ?? "";
  if (namespaces !== "" && !namespaces.split(",").includes(ingress.metadata.namespace ?? "")) return false;
  const wanted = config.get("providers.kubernetesingress.ingressclass") ?? "";
  const { ingressClassName } = ingress.spec;
  if (ingressClassName !== undefined)
    return classes.has(ingressClassName) && (wanted === "" || wanted === ingressClassName);
  const annotation = ingress.metadata.annotations?.["kubernetes.io/ingress.class"] ?? "";
  return wanted === "" ? annotation === "" || annotation === "traefik" : annotation === wanted;
}

/** Traefik reads exactly one of: a configuration file, its arguments, its environment; in that order. */
async function readStaticConfig(api: KubernetesApi, pod: Pod): Promise<StaticConfig> {
  const container = traefikContainer(pod)!;
  const fromArguments = flattenArguments([...(container.command ?? []).slice(1), ...(container.args ?? [])]);
  const file = fromArguments.get("configfile");
  if (file !== undefined) {
    const text = await readMountedFile(api, pod, file);
    return text === undefined ? new Map() : flattenYaml(text);
  }
  if (fromArguments.size > 0) return fromArguments;
  return new Map(
    (container.env ?? []).flatMap(({ name, value }) =>
      name.startsWith("TRAEFIK_")
        ? [[name.slice("TRAEFIK_".length).toLowerCase().replaceAll("_", "."), value ?? ""] as const]
        : [],
    ),
  );
}

/** `--a.b=c`, `--a.b c` and `--a.b` (which means true). */
export function flattenArguments(args: readonly string[]): Map<string, string> {
  const options = new Map<string, string>();
  args.forEach((argument, index) => {
    if (!argument.startsWith("-")) return;
    const [, name = "", value] = /^--?([^=]+)(?:=([\s\S]*))?$/.exec(argument) ?? [];
    const next = args[index + 1];
    options.set(name.toLowerCase(), value ?? (next !== undefined && !next.startsWith("-") ? next : "true"));
  });
  return options;
}

export function flattenYaml(yaml: string): Map<string, string> {
  const options = new Map<string, string>();
  const text = (value: unknown): string =>
    Array.isArray(value)
      ? value.map(text).join(",")
      : typeof value === "string"
        ? value
        : value === null || value === undefined
          ? ""
          : JSON.stringify(value);
  const visit = (value: unknown, path: string): void => {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      if (path !== "") options.set(path, "");
      for (const [key, inner] of Object.entries(value))
        visit(inner, `${path}${path === "" ? "" : "."}${key.toLowerCase()}`);
    } else options.set(path, text(value));
  };
  visit(parse(yaml), "");
  return options;
}

async function readMountedFile(api: KubernetesApi, pod: Pod, file: string): Promise<string | undefined> {
  const container = traefikContainer(pod)!;
  for (const mount of container.volumeMounts ?? []) {
    const isFile = mount.mountPath === file;
    if (!isFile && !file.startsWith(`${mount.mountPath.replace(/\/$/, "")}/`)) continue;
    const volume = pod.spec.volumes?.find(({ name }) => name === mount.name)?.configMap;
    if (!volume) continue;
    const inVolume = isFile ? (mount.subPath ?? "") : file.slice(mount.mountPath.replace(/\/$/, "").length + 1);
    const key = volume.items?.find(({ path }) => path === inVolume)?.key ?? inVolume;
    const object = await api.find(`/api/v1/namespaces/${pod.metadata.namespace}/configmaps/${volume.name}`);
    return (object?.["data"] as Record<string, string> | undefined)?.[key];
  }
  return undefined;
}
