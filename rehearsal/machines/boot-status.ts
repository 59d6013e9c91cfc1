import { createServer, type Server } from "node:https";
import type { TLSSocket } from "node:tls";
import { issueLeaf } from "./k3s/leaf-certificates";
import { explainListenError } from "./relay";
import type { ServerDefinition } from "./server-definition";

const OPERATORS_GROUP = "system:masters";
const LOG_LINES = 40;

/**
 * What the boot script answers on the API port until K3s listens there: stage and reason, to whoever shows an operator's certificate.
 * So `pulumi up` can say what a server waits for, and why it failed.
 */
export class BootStatus {
  stage = "starting";
  reason = "";
  #since = Date.now();
  readonly #server: Server;
  readonly #log: string[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(definition: ServerDefinition, port: number): Promise<BootStatus> {
    const { authorities, node, nodeName, privateAddress, publicAddress } = definition;
    const leaf = await issueLeaf(authorities.byName["server-ca"], {
      commonName: nodeName,
      organizations: ["trivet"],
      names: [privateAddress, publicAddress],
      usage: "server",
    });
    const server = createServer({
      cert: leaf.certificatePem,
      key: leaf.keyPem,
      ca: authorities.byName["client-ca"].pem,
      requestCert: true,
      rejectUnauthorized: false,
    });
    const status = new BootStatus(server);
    server.on("request", (request, response) => {
      const socket = request.socket as TLSSocket;
      const groups = [socket.getPeerCertificate().subject?.O ?? []].flat();
      const isOperator = socket.authorized && groups.includes(OPERATORS_GROUP);
      const { stage, reason } = status;
      const seconds = Math.round((Date.now() - status.#since) / 1000);
      const body = isOperator
        ? { trivet: { node: node.node, stage, reason, seconds, log: status.#log } }
        : { error: "unauthorized" };
      response.writeHead(isOperator ? 503 : 401, { "content-type": "application/json", connection: "close" });
      response.end(JSON.stringify(body));
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(explainListenError(error, publicAddress, port)));
      server.listen(port, publicAddress, resolve);
    });
    // A port scan is no news.
    server.on("tlsClientError", () => undefined);
    return status;
  }

  say(stage: string, reason: string): void {
    if (stage !== this.stage) this.#since = Date.now();
    this.stage = stage;
    this.reason = reason;
    this.#log.push(`trivet: ${stage}: ${reason}`);
    if (this.#log.length > LOG_LINES) this.#log.shift();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}
