import { request } from "node:https";
import type { TLSSocket } from "node:tls";
import type { V1EndpointSlice, V1Namespace, V1Node, V1Pod, V1PodDisruptionBudget } from "@kubernetes/client-node";
import { parse } from "yaml";

/** While an agent boots, it answers on the API's port under this name, for it has no certificate of its own address. */
const AGENT_STATUS_NAME = "agent.trivet.internal";
/** A firewall drops without a word. */
const TIMEOUT_SECONDS = 5;

/** A kubeconfig's one user, and the authority of the API servers. */
export interface Credentials {
  readonly authorityPem: string;
  readonly certificatePem: string;
  /** Secret. */
  readonly privateKeyPem: string;
}

/** The program's kubeconfigs have one cluster and one user, with everything inside. */
export function credentialsOf(kubeconfig: string): Credentials {
  const { clusters, users } = parse(kubeconfig) as {
    clusters: [{ cluster: Record<string, string> }];
    users: [{ user: Record<string, string> }];
  };
  const text = (base64: string | undefined): string => Buffer.from(base64 ?? "", "base64").toString();
  const { user } = users[0];
  return {
    authorityPem: text(clusters[0].cluster["certificate-authority-data"]),
    certificatePem: text(user["client-certificate-data"]),
    privateKeyPem: text(user["client-key-data"]),
  };
}

/** Where an API is asked. */
export interface ApiPlace {
  readonly host: string;
  readonly port: number;
  /** Under which name its certificate is checked. @default the host */
  readonly serverName?: string;
  /** For people. */
  readonly called: string;
}

/** What one server said when asked by its own address. */
export interface ApiAnswer {
  readonly ready: boolean;
  /** Why not, in the words of the API server or of the booting node; empty when ready. */
  readonly reason: string;
  /** True when something of this cluster answered at all. */
  readonly answers: boolean;
  /** When its serving certificate ends. */
  readonly certificateEnds: Date | undefined;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly certificateEnds: Date | undefined;
}

/** One API server; or an agent, which answers there only while it boots. */
export class KubernetesApi {
  readonly #place: ApiPlace;
  readonly #credentials: Credentials;
  readonly #servername: string | undefined;

  constructor(place: ApiPlace, credentials: Credentials, role: "server" | "agent" = "server") {
    this.#place = place;
    this.#credentials = credentials;
    this.#servername = role === "agent" ? AGENT_STATUS_NAME : place.serverName;
  }

  /** Never throws: every failure is a reason. */
  async readiness(): Promise<ApiAnswer> {
    try {
      const { status, body, certificateEnds } = await this.#get("/readyz");
      const ready = status === 200;
      return { ready, reason: ready ? "" : reasonIn(status, body), answers: true, certificateEnds };
    } catch (error) {
      const { name, message, code } = error as NodeJS.ErrnoException;
      const silent = name === "AbortError" || name === "TimeoutError";
      const reason = silent ? `no answer in ${TIMEOUT_SECONDS} s` : (code ?? message);
      return { ready: false, reason, answers: false, certificateEnds: undefined };
    }
  }

  nodes = (): Promise<V1Node[]> => this.#list("/api/v1/nodes");
  disruptionBudgets = (): Promise<V1PodDisruptionBudget[]> => this.#list("/apis/policy/v1/poddisruptionbudgets");
  /** K3s' own record of snapshots; empty on a cluster that has never taken one, where the kind does not exist yet. */
  snapshotFiles = (): Promise<EtcdSnapshotFile[]> => this.#list("/apis/k3s.cattle.io/v1/etcdsnapshotfiles");

  async readyPods(namespace: string, selector: string): Promise<{ ready: number; all: number }> {
    const pods = await this.#list<V1Pod>(
      `/api/v1/namespaces/${namespace}/pods?labelSelector=${encodeURIComponent(selector)}`,
    );
    const isReady = ({ status }: V1Pod): boolean =>
      status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") === true;
    return { ready: pods.filter(isReady).length, all: pods.length };
  }

  async readyEndpoints(namespace: string, service: string): Promise<{ ready: number; all: number }> {
    const slices = await this.#list<V1EndpointSlice>(
      `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=kubernetes.io/service-name%3D${service}`,
    );
    const endpoints = slices.flatMap((slice) => slice.endpoints ?? []);
    return { ready: endpoints.filter(({ conditions }) => conditions?.ready !== false).length, all: endpoints.length };
  }

  /** uid of the namespace kube-system: what Kubernetes has for an id of a cluster. */
  async clusterId(): Promise<string | undefined> {
    const { status, body } = await this.#get("/api/v1/namespaces/kube-system");
    return status === 200 ? (JSON.parse(body) as V1Namespace).metadata?.uid : undefined;
  }

  async #list<T>(path: string): Promise<T[]> {
    const { status, body } = await this.#get(path);
    if (status === 404) return [];
    if (status !== 200) throw new Error(`${path}: ${reasonIn(status, body)}`);
    return (JSON.parse(body) as { items: T[] }).items;
  }

  #get(path: string): Promise<Answer> {
    const { authorityPem, certificatePem, privateKeyPem } = this.#credentials;
    return new Promise((resolve, reject) => {
      request(
        {
          host: this.#place.host,
          port: this.#place.port,
          path,
          ca: authorityPem,
          cert: certificatePem,
          key: privateKeyPem,
          agent: false,
          ...(this.#servername === undefined ? {} : { servername: this.#servername }),
          signal: AbortSignal.timeout(TIMEOUT_SECONDS * 1000),
        },
        (response) => {
          const ends = (response.socket as TLSSocket).getPeerCertificate().valid_to;
          let body = "";
          response.setEncoding("utf8").on("data", (part: string) => (body += part));
          response.on("error", reject);
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              body,
              certificateEnds: ends === undefined ? undefined : new Date(ends),
            }),
          );
        },
      )
        .on("error", reject)
        .end();
    });
  }
}

/** K3s' ETCDSnapshotFile (k3s.cattle.io/v1), as far as it is read here. */
export interface EtcdSnapshotFile {
  readonly spec: {
    readonly snapshotName: string;
    readonly nodeName: string;
    readonly location: string;
    /** Present when it went to the bucket. */
    readonly s3?: object;
  };
  readonly status?: {
    readonly creationTime?: string;
    readonly readyToUse?: boolean;
    readonly error?: { readonly message?: string; readonly time?: string };
  };
}

/** The words of the boot script where it is the one that answers, else those of the API server. */
function reasonIn(status: number, body: string): string {
  try {
    const { trivet } = JSON.parse(body) as { trivet?: { stage: string; reason: string; seconds: number } };
    if (trivet) return `boots: ${trivet.stage}: ${trivet.reason}, ${Math.round(trivet.seconds)} s`;
  } catch {
    // not the boot script
  }
  if (status === 401 || status === 403) return `refuses the administrator's certificate (${status})`;
  const failed = [...body.matchAll(/^\[-\](\S+)/gm)].map(([, check]) => check);
  return failed.length === 0 ? `answers ${status}` : `not ready: ${failed.join(", ")}`;
}
