import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { TLSSocket } from "node:tls";
import { issueLeaf } from "../k3s/leaf-certificates";
import { explainListenError } from "../k3s/ports";
import type { ServerDefinition } from "./server-definition";

const OPERATORS_GROUP = "system:masters";
const LOG_LINES = 40;

/** Stages of the boot script. */
export type Stage = "network" | "packages" | "download" | "rendezvous" | "restore" | "start" | "failed";

/**
 * What the boot script answers on the API port until K3s listens there: stage and reason, to whoever shows an operator's certificate.
 * So `pulumi up` can say what a server waits for, and why it failed.
 */
export class BootStatus {
  stage: Stage = "network";
  reason = "has begun";
  #since = Date.now();
  readonly #server: Server;
  readonly #log: string[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  /** `isFresh` tells whether K3s has no data on this server yet. */
  static async listen(
    definition: ServerDefinition,
    { host, port }: { host: string; port: number },
    isFresh: () => Promise<boolean>,
  ): Promise<BootStatus> {
    const { node, clientAuthorityPem } = definition;
    const leaf = await certificateOf(definition);
    const server = createServer({
      cert: leaf.certificatePem,
      key: leaf.keyPem,
      ca: clientAuthorityPem,
      requestCert: true,
      rejectUnauthorized: false,
    });
    const status = new BootStatus(server);
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const socket = request.socket as TLSSocket;
      const groups = [socket.getPeerCertificate().subject?.O ?? []].flat();
      const isOperator = socket.authorized && groups.includes(OPERATORS_GROUP);
      const { stage, reason } = status;
      const seconds = Math.round((Date.now() - status.#since) / 1000);
      const { generation, definition: digest } = node;
      const fresh = await isFresh();
      const body = isOperator
        ? {
            trivet: {
              node: node.node,
              stage,
              reason,
              seconds,
              generation,
              definition: digest,
              fresh,
              log: status.#log,
            },
          }
        : { error: "unauthorized" };
      response.writeHead(isOperator ? 503 : 401, { "content-type": "application/json", connection: "close" });
      response.end(JSON.stringify(body));
    };
    server.on("request", (request, response) => void answer(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(explainListenError(error, host, port)));
      server.listen(port, host, resolve);
    });
    // A port scan is no news.
    server.on("tlsClientError", () => undefined);
    return status;
  }

  /** Returns the line for the console; undefined where it was just said. */
  say(stage: Stage, reason: string): string | undefined {
    if (stage === this.stage && reason === this.reason) return undefined;
    if (stage !== this.stage) this.#since = Date.now();
    this.stage = stage;
    this.reason = reason;
    const line = `trivet: ${stage}: ${reason}`;
    this.note(line);
    return line;
  }

  note(line: string): void {
    this.#log.push(line);
    if (this.#log.length > LOG_LINES) this.#log.shift();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

/** A server signs one for itself; an agent, which has no authority's key, was given one. */
async function certificateOf({
  status,
  authorities,
  nodeName,
  privateAddress,
  publicAddress,
  node: { apiName },
}: ServerDefinition): Promise<{ certificatePem: string; keyPem: string }> {
  if (status) return status;
  return await issueLeaf(authorities!.byName["server-ca"], {
    commonName: nodeName,
    organizations: ["trivet"],
    names: [privateAddress, publicAddress, ...(apiName === undefined ? [] : [apiName])],
    usage: "server",
  });
}
