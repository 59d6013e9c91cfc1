import { type Agent, request } from "node:https";
import type { FrontDoor } from "../emulators/cloudflare/door";

export interface VisitOptions {
  method?: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** The visitor's own address; one that the private network has. Default: the machine's. */
  from?: string;
  /** Authorities that the visitor trusts where its resolver leads past Cloudflare (PEM). At the edge it is always the edge's. */
  ca?: string;
  /** Keeps connections. Default: each request has one of its own. */
  agent?: Agent;
}

export interface Visit {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: string;
  milliseconds: number;
}

const TIMEOUT_MILLISECONDS = 10_000;

/**
 * One HTTPS request of a visitor. Like a browser it goes where its resolver leads it: to the edge, or past it to one of the servers that the
 * records name, in an emergency.
 */
export function visit(door: FrontDoor, url: string, options: VisitOptions = {}): Promise<Visit> {
  const { hostname, host, port, pathname, search } = new URL(url);
  const { method = "GET", headers = {}, body, from, ca, agent } = options;
  const found = door.lookup(hostname);
  const edge = new URL(door.https);
  const to =
    found?.via === "address"
      ? { host: oneOf(found.addresses), port: Number(port || 443), ca }
      : { host: edge.hostname, port: Number(edge.port || 443), ca: door.authorityPem };
  const began = performance.now();
  return new Promise((resolve, reject) => {
    let reached = "connecting";
    const fail = (error: NodeJS.ErrnoException): void => {
      const how = `${found?.via === "address" ? "straight" : "at the edge"}, ${to.host}, ${asked.reusedSocket ? "kept" : "fresh"} connection`;
      const { code } = error;
      reject(Object.assign(new Error(`${error.message} (${how}, ${reached})`, { cause: error }), code && { code }));
    };
    const asked = request({
      ...to,
      servername: hostname,
      agent: agent ?? false,
      method,
      path: `${pathname}${search}`,
      headers: { host, ...headers },
      timeout: TIMEOUT_MILLISECONDS,
      ...(from === undefined ? {} : { localAddress: from }),
    });
    asked.once("socket", (socket) => {
      if (asked.reusedSocket) return void (reached = "waiting for an answer");
      socket.once("connect", () => (reached = "shaking hands"));
      socket.once("secureConnect", () => (reached = "waiting for an answer"));
    });
    asked.once("response", (response) => {
      reached = "reading the answer";
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.once("error", fail);
      response.once("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: text,
          milliseconds: performance.now() - began,
        }),
      );
    });
    asked.once("timeout", () => asked.destroy(new Error(`no answer within ${TIMEOUT_MILLISECONDS / 1000} s`)));
    asked.once("error", fail);
    asked.end(body);
  });
}

const oneOf = <T>(all: readonly T[]): T => all[Math.floor(Math.random() * all.length)]!;
