import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { Agent, request } from "node:https";
import type { TLSSocket } from "node:tls";
import type { ControlPlane } from "./control-plane/control-plane";
import type { K3sHost } from "./host";

/**
 * Passes requests on to this server's own kube-apiserver, as K3s does on the API port: TLS ends here, and who came with a client
 * certificate is named in headers that kube-apiserver believes from its front proxy (`requestheader-...`). Tokens travel as they are.
 */
export class ApiProxy {
  readonly #address: string;
  readonly #port: number;
  readonly #asProxy: Agent;
  readonly #asNobody: Agent;

  constructor({ definition, authProxy }: ControlPlane, { network }: K3sHost) {
    this.#address = network.api.address;
    this.#port = network.api.port;
    const ca = definition.authorities.byName["server-ca"].pem;
    this.#asProxy = new Agent({ keepAlive: true, ca, cert: authProxy.certificatePem, key: authProxy.keyPem });
    this.#asNobody = new Agent({ keepAlive: true, ca });
  }

  pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const user = identity(incoming.socket as TLSSocket);
    const { method, url: path } = incoming;
    const headers = { ...withoutClaims(incoming.headers), ...(user ? claims(user) : {}) };
    const upstream = request({
      host: this.#address,
      port: this.#port,
      agent: user ? this.#asProxy : this.#asNobody,
      method,
      path,
      headers,
    });
    upstream.once("response", (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      // A watch answers with its head long before its first event.
      outgoing.flushHeaders();
      response.pipe(outgoing);
      response.once("error", () => outgoing.destroy());
    });
    upstream.once("error", () => {
      if (outgoing.headersSent) return void outgoing.destroy();
      const body = { kind: "Status", apiVersion: "v1", status: "Failure", message: "apiserver not ready", code: 503 };
      outgoing.writeHead(503, { "content-type": "application/json", "retry-after": "1" }).end(JSON.stringify(body));
    });
    outgoing.once("close", () => upstream.destroy());
    incoming.pipe(upstream);
  }

  close(): void {
    this.#asProxy.destroy();
    this.#asNobody.destroy();
  }
}

interface Identity {
  user: string;
  groups: readonly string[];
}

/** Of a client certificate by the client authority; anybody else is nobody. */
function identity(socket: TLSSocket): Identity | undefined {
  if (!socket.authorized) return undefined;
  const subject = socket.getPeerCertificate().subject as { CN?: string; O?: string | string[] } | undefined;
  if (!subject?.CN) return undefined;
  return { user: subject.CN, groups: [subject.O ?? []].flat() };
}

const claims = ({ user, groups }: Identity): Record<string, string | string[]> => ({
  "x-remote-user": user,
  ...(groups.length > 0 ? { "x-remote-group": [...groups] } : {}),
});

/** Nobody may say himself who he is. */
const withoutClaims = (headers: IncomingHttpHeaders): IncomingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith("x-remote-")));
