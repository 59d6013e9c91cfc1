import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { isNativeError } from "node:util/types";
import type { CloudflareState, Zone } from "../state";
import { EdgeAuthority } from "./edge-authority";
import { Edge, type EdgeOptions } from "./edge";
import { EdgeError } from "./edge-error";
import { type Lookup, lookUp, zoneOfName } from "./resolve";
import type { Outage } from "./tunnel-entrance";
import { addressOf, type Answer, type Arrival, CARRIED_PORTS, newRay, usualPort } from "./visit";

export interface FrontDoorOptions extends Partial<Omit<EdgeOptions, "publicAuthorities">> {
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: a free one. */
  httpPort?: number;
  /** Default 0: a free one. */
  httpsPort?: number;
  /** For connectors; Cloudflare's is 7844. Default 0: a free one. */
  tunnelPort?: number;
}

/** A visitor who left before the edge had answered. */
export interface Left {
  /** When he came: milliseconds, as performance.now() counts them. */
  readonly cameAt: number;
  readonly stayedMilliseconds: number;
  readonly asked: string;
  /** What the edge had done for him at origins until then. */
  readonly steps: readonly string[];
}

export interface FrontDoor {
  /** `http://127.0.0.1:port` */
  readonly http: string;
  readonly https: string;
  /** `127.0.0.1:port`, for connectors: what TUNNEL_EDGE takes. */
  readonly tunnel: string;
  /** PEM: of the authority that signed what visitors see. */
  readonly authorityPem: string;
  /** PEM: of the authority of the client certificate that origins of all zones see that have none of their own. */
  readonly originPullAuthorityPem: string;
  /** What a visitor's resolver says of a name; undefined: nothing to connect to. */
  lookup(name: string): Lookup | undefined;
  /** From now on "Full (strict)" takes origins' certificates of this authority (PEM), too, as those of a public one. */
  trust(authorityPem: string): void;
  /** Visitors who gave up, oldest first: where a request was lost that nobody answered. */
  readonly left: readonly Left[];
  /** Ends the connections of all connectors and takes no new ones, until it is mended. Visitors still arrive. */
  cutTunnels(): Promise<Outage>;
  close(): Promise<void>;
}

/**
 * The edge that visitors meet: HTTP and HTTPS (HTTP/2, too) for every zone of an emulator, on one address. Which zone is meant says the host.
 * Everything it does follows from the emulator's state at that moment: there is nothing to reload.
 */
export async function openFrontDoor(
  { state }: { readonly state: CloudflareState },
  options: FrontDoorOptions = {},
): Promise<FrontDoor> {
  const { host = "127.0.0.1", httpPort = 0, httpsPort = 0, tunnelPort = 0 } = options;
  const authority = await EdgeAuthority.make("Edge Certificate Authority");
  const publicAuthorities: string[] = [];
  const edge = await Edge.start(state, { ...options, publicAuthorities });
  const certificates = new EdgeCertificates(state, authority);

  const plain = createHttpServer();
  const secure = createSecureServer({
    allowHTTP1: true,
    SNICallback: (name, done) => {
      certificates.of(name).then(
        (context) => (context === undefined ? done(new Error(`no certificate for ${name}`)) : done(null, context)),
        (error: Error) => done(error),
      );
    },
  });
  const sockets = new Set<Socket>();
  for (const server of [plain, secure]) {
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.once("close", () => sockets.delete(socket));
      socket.on("error", () => undefined);
    });
  }
  secure.on("tlsClientError", () => undefined);
  secure.on("secureConnection", (socket: TLSSocket) => {
    const zone = zoneOfName(state, socket.servername || "");
    if (zone !== undefined && isBelowMinimum(socket, zone)) socket.destroy();
  });

  const door = new Listener(edge);
  door.attach(plain, "http");
  door.attach(secure, "https");
  await Promise.all([
    listening(plain, httpPort, host, "HTTP"),
    listening(secure, httpsPort, host, "HTTPS"),
    edge.entrance.listen(tunnelPort, host),
  ]);
  door.own = [portOf(plain), portOf(secure)];

  const shownHost = host.includes(":") ? `[${host}]` : host;
  const url = (scheme: string, server: Listening) => `${scheme}://${shownHost}:${portOf(server)}`;
  return {
    http: url("http", plain),
    https: url("https", secure),
    tunnel: `${shownHost}:${edge.entrance.port}`,
    authorityPem: authority.certificatePem,
    originPullAuthorityPem: edge.originPullAuthorityPem,
    lookup: (name) => lookUp(state, name),
    trust: (authorityPem) => void publicAuthorities.push(authorityPem),
    left: door.left,
    cutTunnels: () => edge.entrance.cut(),
    close: async () => {
      const closed = [plain, secure].map((server) => new Promise((resolve) => server.close(resolve)));
      await edge.close();
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  };
}

type Listening = Server | Http2SecureServer;
type VisitorRequest = IncomingMessage | Http2ServerRequest;
type VisitorResponse = ServerResponse | Http2ServerResponse;

const portOf = (server: Listening): number => (server.address() as AddressInfo).port;

function listening(server: Listening, port: number, host: string, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(new Error(`front door: cannot listen for ${what} on ${host} port ${port}: ${cause.message}`, { cause }));
    const tcp = server as Server; // both are, and TypeScript cannot choose between their overloads
    tcp.once("error", fail);
    tcp.listen(port, host, () => {
      tcp.off("error", fail);
      resolve();
    });
  });
}

/** Versions of the zone setting `min_tls_version`, from old to new, as OpenSSL names them. */
const TLS_VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

function isBelowMinimum(socket: TLSSocket, zone: Zone): boolean {
  const minimum = (zone.settings["min_tls_version"]?.value ?? "1.0") as string;
  const wanted = TLS_VERSIONS.indexOf(minimum === "1.0" ? "TLSv1" : `TLSv${minimum}`);
  return TLS_VERSIONS.indexOf(socket.getProtocol() ?? "") < wanted;
}

/** One certificate a zone, as Universal SSL covers it: its name and one label below. Pages' custom domains have their own. */
class EdgeCertificates {
  readonly #state: CloudflareState;
  readonly #authority: EdgeAuthority;
  readonly #contexts = new Map<string, Promise<SecureContext>>();

  constructor(state: CloudflareState, authority: EdgeAuthority) {
    this.#state = state;
    this.#authority = authority;
  }

  async of(serverName: string): Promise<SecureContext | undefined> {
    const name = serverName.toLowerCase();
    const own = this.#state.accounts.some(({ pagesProjects }) =>
      pagesProjects.some((project) => project.domains.some((domain) => domain.name === name)),
    );
    if (own || OWN_SUFFIXES.some((suffix) => name.endsWith(suffix))) return this.#context(name, [name]);
    const zone = zoneOfName(this.#state, name);
    if (zone === undefined || name.split(".").length > zone.name.split(".").length + 1) return undefined;
    return this.#context(zone.name, [zone.name, `*.${zone.name}`]);
  }

  #context(name: string, names: readonly string[]): Promise<SecureContext> {
    let context = this.#contexts.get(name);
    if (context === undefined) {
      context = this.#authority
        .issue(name, names)
        .then(({ certificate, key }) => createSecureContext({ cert: certificate, key }));
      this.#contexts.set(name, context);
    }
    return context;
  }
}

/** Hosts that are Cloudflare's own. */
const OWN_SUFFIXES = [".cloudflareaccess.com", ".pages.dev"];

class Listener {
  /** Ports on which this machine listens: they stand for the usual ones. */
  own: readonly number[] = [];
  readonly left: Left[] = [];
  readonly #edge: Edge;

  constructor(edge: Edge) {
    this.#edge = edge;
  }

  attach(server: { on(event: string, listener: (...args: never[]) => void): unknown }, scheme: "http" | "https"): void {
    server.on("request", (request: VisitorRequest, response: VisitorResponse) => {
      void this.#answer(request, response, scheme);
    });
    server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      void this.#upgrade(request, socket, head, scheme);
    });
  }

  async #answer(request: VisitorRequest, response: VisitorResponse, scheme: "http" | "https"): Promise<void> {
    response.on("error", () => undefined);
    const ray = newRay();
    const gone = new AbortController();
    const cameAt = performance.now();
    const steps: string[] = [];
    response.once("close", () => {
      gone.abort();
      if (response.writableEnded) return;
      const asked = `${request.method} ${scheme}://${request.headers.host ?? ""}${request.url}`;
      this.left.push({ cameAt, stayedMilliseconds: performance.now() - cameAt, asked, steps: [...steps] });
    });
    try {
      const arrival = this.#arrival(request, scheme, ray, steps);
      await write(response, await this.#edge.serve(arrival, gone.signal), ray);
    } catch (error) {
      await write(response, failed(error), ray).catch(() => response.destroy());
    }
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, scheme: "http" | "https"): Promise<void> {
    socket.on("error", () => undefined);
    const ray = newRay();
    const finish = (answer: Answer) => void writeRaw(socket, answer, ray).catch(() => socket.destroy());
    try {
      const arrival = this.#arrival(request, scheme, ray, []);
      const answer = await this.#edge.upgrade(arrival);
      if ("status" in answer) return finish(answer);
      socket.write(headText(101, "Switching Protocols", { ...answer.headers, "cf-ray": ray, server: "cloudflare" }));
      if (answer.head.length > 0) socket.write(answer.head);
      if (head.length > 0) answer.stream.write(head);
      answer.stream.on("error", () => socket.destroy());
      answer.stream.pipe(socket).pipe(answer.stream);
      socket.once("close", () => answer.stream.destroy());
      answer.stream.once("close", () => socket.destroy());
    } catch (error) {
      finish(failed(error));
    }
  }

  #arrival(request: VisitorRequest, scheme: "http" | "https", ray: string, steps: string[]): Arrival {
    const { host, port } = this.#asked(request, scheme);
    return {
      scheme,
      method: request.method ?? "GET",
      host,
      port,
      path: request.url?.startsWith("/") ? request.url : "/",
      headers: request.headers,
      body: request,
      hasBody: hasBody(request),
      visitorAddress: addressOf(request),
      ray,
      steps,
    };
  }

  #asked(request: VisitorRequest, scheme: "http" | "https"): { host: string; port: number } {
    const authority = String(request.headers[":authority"] ?? request.headers.host ?? "");
    const [, host = "", given] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(authority.toLowerCase()) ?? [];
    const port = given === undefined || this.own.includes(Number(given)) ? usualPort(scheme) : Number(given);
    if (!(CARRIED_PORTS[scheme] as readonly number[]).includes(port))
      throw new EdgeError(
        "badRequest",
        `Cloudflare does not carry ${scheme} on port ${port}, only on ${CARRIED_PORTS[scheme].join(", ")}`,
      );
    return { host: host.replace(/\.$/, ""), port };
  }
}

function hasBody(request: VisitorRequest): boolean {
  const { headers } = request;
  if (request.httpVersionMajor >= 2) return !(request as Http2ServerRequest).stream.endAfterHeaders;
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

function failed(error: unknown): Answer {
  if (error instanceof EdgeError)
    return {
      status: error.status,
      headers: {
        ...error.headers,
        "content-type": "text/plain; charset=UTF-8",
        "x-rehearsal-reason": headerText(error.message),
      },
      body: error.text,
    };
  const reason = isNativeError(error) ? error.message : String(error);
  return {
    status: 500,
    headers: { "content-type": "text/plain; charset=UTF-8", "x-rehearsal-reason": headerText(reason) },
    body: `the emulated edge failed: ${reason}`,
  };
}

/** A header holds printable ASCII. */
const headerText = (text: string): string => text.replace(/[^ -~]+/g, " ");

async function write(
  response: VisitorResponse,
  { status, headers, body, trailers }: Answer,
  ray: string,
): Promise<void> {
  const sent = { ...headers, server: "cloudflare", "cf-ray": ray };
  if (body === "" && "stream" in response) {
    // In one frame with the headers: gRPC's clients tell an answer without a body by that.
    response.stream.respond({ ":status": status, ...sent }, { endStream: true });
    return;
  }
  if (typeof body === "string") {
    (response as ServerResponse).writeHead(status, { ...sent, "content-length": Buffer.byteLength(body) });
    response.end(body);
    return;
  }
  (response as ServerResponse).writeHead(status, sent);
  await new Promise<void>((resolve) => {
    body.once("error", () => {
      response.destroy();
      resolve();
    });
    body.once("end", () => {
      const rest = trailers?.() ?? {};
      if (Object.keys(rest).length > 0) (response as ServerResponse).addTrailers(rest);
      response.end();
      resolve();
    });
    response.once("close", () => {
      body.destroy();
      resolve();
    });
    body.pipe(response as ServerResponse, { end: false });
  });
}

function headText(status: number, reason: string, headers: Answer["headers"]): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((each) => `${name}: ${String(each)}`),
  );
  return [`HTTP/1.1 ${status} ${reason}`, ...lines, "", ""].join("\r\n");
}

/** An answer to a connection that asked for an upgrade and does not get it. */
async function writeRaw(socket: Duplex, { status, headers, body }: Answer, ray: string): Promise<void> {
  const whole = typeof body === "string" ? Buffer.from(body) : Buffer.concat(await body.toArray());
  const { "transfer-encoding": _, ...rest } = headers;
  const sent = { ...rest, "content-length": whole.length, server: "cloudflare", "cf-ray": ray, connection: "close" };
  socket.end(Buffer.concat([Buffer.from(headText(status, "-", sent)), whole]));
}
