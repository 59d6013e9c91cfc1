/** What the stand-in uses of `ws`, which comes with the Kubernetes client; its types would be one dependency more. */
declare module "ws" {
  import type { EventEmitter } from "node:events";
  import type { IncomingMessage } from "node:http";
  import type { Duplex } from "node:stream";

  export interface ClientOptions {
    headers?: Record<string, string>;
    servername?: string;
    ca?: string;
    perMessageDeflate?: boolean;
  }

  /** Events: open, error(Error), close, unexpected-response(ClientRequest, IncomingMessage). */
  export class WebSocket extends EventEmitter {
    constructor(url: string, options?: ClientOptions);
    terminate(): void;
  }

  export class WebSocketServer {
    constructor(options: { noServer: true; perMessageDeflate: boolean });
    handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, done: (made: WebSocket) => void): void;
  }

  export function createWebSocketStream(socket: WebSocket): Duplex;
}
