import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { type AuthorityName, AUTHORITIES, TLS_DIRECTORY } from "./authorities";
import { criticalValues } from "./config";
import { type ControlPlane, ENCRYPTION_FILE } from "./control-plane/control-plane";
import type { SharedFiles } from "./etcd/bootstrap-data";
import type { K3sHost } from "./host";
import type { KubernetesObject } from "./kubernetes-api";
import { issueLeaf } from "./leaf-certificates";
import { ApiProxy } from "./api-proxy";
import { acceptNodePassword, NODE_PASSWORD_REJECTED } from "./nodes/node-password";
import { explainListenError } from "./ports";
import type { Snapshots } from "./snapshots/snapshots";
import { passwordOf } from "./token";

const KEEP_ALIVE_MILLISECONDS = 120_000;

/** The user kwok acts as on an agent. Its own kubelet certificate would not do: a kubelet may not delete pods as kwok does it. */
const SIMULATED_KUBELET = { commonName: "system:k3s-standin-kubelet", organizations: ["system:masters"] };

/**
 * K3s' own answers beside the Kubernetes API: what joining servers and agents ask for. `server` is who knows the server token, `node` who
 * knows the agents' token or that one.
 */
export class Supervisor {
  readonly #controlPlane: ControlPlane;
  readonly #host: K3sHost;
  readonly #server: Server;
  readonly #passOn: ApiProxy | undefined;
  /** Once the API server is ready. */
  snapshots: Snapshots | undefined;

  private constructor(controlPlane: ControlPlane, host: K3sHost) {
    this.#controlPlane = controlPlane;
    this.#host = host;
    this.#passOn = host.network.supervisor.place === "in front" ? new ApiProxy(controlPlane, host) : undefined;
    const { serving, definition } = controlPlane;
    this.#server = createServer({
      cert: serving.certificatePem,
      key: serving.keyPem,
      ca: definition.authorities.byName["client-ca"].pem,
      requestCert: true,
      rejectUnauthorized: false,
    });
    this.#server.on("request", (request, response) => {
      this.#answer(request, response).catch(() => {
        if (!response.headersSent) response.writeHead(500);
        response.end();
      });
    });
    // Clients of the API keep their connections; Node would close them after five seconds.
    this.#server.keepAliveTimeout = KEEP_ALIVE_MILLISECONDS;
    this.#server.requestTimeout = 0;
    // A port scan is no news.
    this.#server.on("tlsClientError", () => undefined);
  }

  static async listen(controlPlane: ControlPlane, host: K3sHost): Promise<Supervisor> {
    const supervisor = new Supervisor(controlPlane, host);
    const { address, port } = host.network.supervisor;
    await new Promise<void>((resolve, reject) => {
      supervisor.#server.once("error", (error) => reject(explainListenError(error, address, port)));
      supervisor.#server.listen(port, address, resolve);
    });
    return supervisor;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    this.#passOn?.close();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const send = (status: number, body: string | object): void => {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const type = typeof body === "string" ? "text/plain" : "application/json";
      response.writeHead(status, { "content-type": type }).end(text);
    };
    const path = (request.url ?? "/").split("?")[0]!;
    const { definition } = this.#controlPlane;
    if (path === "/ping") return send(200, "pong");
    if (path === "/cacerts") return send(200, definition.authorities.byName["server-ca"].pem);
    if (!path.startsWith("/v1-k3s/"))
      return this.#passOn ? this.#passOn.pass(request, response) : send(404, "not found");
    const who = this.#whoAsks(request);
    if (who === undefined) return send(401, "Unauthorized");
    const forServers = ["/v1-k3s/server-bootstrap", "/v1-k3s/config", "/v1-k3s/snapshot"].includes(path);
    if (forServers && who !== "server") return send(403, "Forbidden");
    if (path === "/v1-k3s/readyz") return (await this.#isReady()) ? send(200, "ok") : send(503, "not ready");
    if (path === "/v1-k3s/config") return send(200, criticalValues(definition.config));
    if (path === "/v1-k3s/server-bootstrap") return send(200, await this.sharedFiles());
    if (!this.#controlPlane.isReady) return send(503, "apiserver not ready");
    if (path === "/v1-k3s/apiservers") return send(200, await this.#apiServers());
    if (path === "/v1-k3s/client-kubelet.crt") return await this.#issueKubelet(request, send);
    if (path === "/v1-k3s/snapshot") return await this.#answerSnapshot(request, send);
    return send(404, "not found");
  }

  async #answerSnapshot(
    request: IncomingMessage,
    send: (status: number, body: string | object) => void,
  ): Promise<void> {
    const prefix = new URL(request.url ?? "/", "https://supervisor").searchParams.get("prefix") ?? undefined;
    try {
      if (!this.snapshots) return send(503, "apiserver not ready");
      if (request.method === "GET") return send(200, await this.snapshots.list());
      return send(200, { name: await this.snapshots.save(prefix) });
    } catch (error) {
      return send(500, (error as Error).message);
    }
  }

  /** What all servers must have alike: authorities, service account key, K3s' key for Secrets. */
  async sharedFiles(): Promise<SharedFiles> {
    const { files } = this.#host;
    const paths = [
      ...(Object.keys(AUTHORITIES) as AuthorityName[]).flatMap((name) => [`${name}.crt`, `${name}.key`]),
      "service.key",
    ].map((name) => `${TLS_DIRECTORY}/${name}`);
    const found = await Promise.all(
      [...paths, ENCRYPTION_FILE].map(async (path) => [path, await files.read(path)] as const),
    );
    return Object.fromEntries(found.filter((entry): entry is [string, string] => entry[1] !== undefined));
  }

  #whoAsks({ headers }: IncomingMessage): "server" | "node" | undefined {
    const [user = "", ...rest] = Buffer.from(/^Basic (.+)$/.exec(headers.authorization ?? "")?.[1] ?? "", "base64")
      .toString("utf8")
      .split(":");
    const shown = rest.join(":");
    const { token, config } = this.#controlPlane.definition;
    if (user === "server" && isSame(shown, passwordOf(token))) return "server";
    const accepted = [token, ...config.list("agent-token")].map(passwordOf);
    return user === "node" && accepted.some((password) => isSame(shown, password)) ? "node" : undefined;
  }

  async #isReady(): Promise<boolean> {
    return this.#controlPlane.isReady && (await this.#controlPlane.api.ready());
  }

  /** Addresses of all servers, for the load balancer of an agent. */
  async #apiServers(): Promise<string[]> {
    const { items } = await this.#controlPlane.api.call<{ items: KubernetesObject[] }>(
      "GET",
      "/api/v1/nodes?labelSelector=node-role.kubernetes.io%2Fcontrol-plane%3Dtrue",
    );
    return items.flatMap(({ status }) =>
      ((status as { addresses?: { type: string; address: string }[] }).addresses ?? []).flatMap(({ type, address }) =>
        type === "InternalIP" ? [address] : [],
      ),
    );
  }

  async #issueKubelet(request: IncomingMessage, send: (status: number, body: string | object) => void): Promise<void> {
    const [nodeName, password] = [request.headers["k3s-node-name"], request.headers["k3s-node-password"]];
    if (typeof nodeName !== "string" || typeof password !== "string") return send(400, "node name not set");
    if (!(await acceptNodePassword(this.#controlPlane.api, nodeName, password)))
      return send(403, NODE_PASSWORD_REJECTED);
    const authority = this.#controlPlane.definition.authorities.byName["client-ca"];
    const [kubelet, simulated, proxy] = await Promise.all([
      issueLeaf(authority, kubeletIdentity(nodeName)),
      issueLeaf(authority, { ...SIMULATED_KUBELET, usage: "client" }),
      issueLeaf(authority, KUBE_PROXY),
    ]);
    return send(200, { kubelet, simulated, proxy });
  }
}

/** Who kube-proxy is to the API server, on whatever node. */
export const KUBE_PROXY = { commonName: "system:kube-proxy", usage: "client" } as const;

/** Who a kubelet is to the API server. */
export const kubeletIdentity = (nodeName: string) =>
  ({ commonName: `system:node:${nodeName}`, organizations: ["system:nodes"], usage: "client" }) as const;

function isSame(shown: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(shown), digest(wanted));
}
