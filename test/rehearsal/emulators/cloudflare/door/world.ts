import { createServer, type IncomingMessage, request, type RequestListener, type Server } from "node:http";
import { createServer as createHttpsServer, request as requestHttps } from "node:https";
import type { AddressInfo } from "node:net";
import type { SecureContextOptions, TlsOptions } from "node:tls";
import { webcrypto } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import {
  type FrontDoor,
  type FrontDoorOptions,
  openFrontDoor,
} from "../../../../../rehearsal/emulators/cloudflare/door";
import type { Inventory } from "../../../../../rehearsal/emulators/cloudflare/state";
import { type Api, startApi } from "../api-client";

/** Nodes of a rehearsal have such addresses; the tests of the front door keep to their own part of them. */
export const NODES = ["127.65.0.1", "127.65.0.2", "127.65.0.3"] as const;
export const VISITOR = "127.65.9.9";

export interface Heard {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: string;
  peer: string;
}

/** An origin on a node's address. The ports 80 and 443 of a node are free ports here. */
export interface Origin {
  port: number;
  heard: Heard[];
  server: Server;
  close(): Promise<void>;
}

export interface Visited {
  status: number;
  headers: IncomingMessage["headers"];
  text: string;
  reason: string | undefined;
}

export interface VisitOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  scheme?: "http" | "https";
  /** Where the visitor sits. */
  from?: string;
}

/** An emulated zone, its front door, and plain servers on loopback as origins. */
export class World {
  readonly api: Api;
  readonly door: FrontDoor;
  readonly #origins: Origin[] = [];
  /** `address:port` as the edge knows it to the port on which something listens. */
  readonly #ports: Map<string, number>;

  private constructor(api: Api, door: FrontDoor, ports: Map<string, number>) {
    this.api = api;
    this.door = door;
    this.#ports = ports;
  }

  static async open(
    options: FrontDoorOptions = {},
    zones: Inventory["zones"] = [{ name: "honeydue.example" }],
  ): Promise<World> {
    const ports = new Map<string, number>();
    const api = await startApi({
      accounts: [{ name: "Trivet", accessTeam: "bees" }],
      publicRanges: ["127.65.0.0/16"],
      zones,
      edgeDeploymentSeconds: 0,
      ...(options.now && { now: options.now }),
    });
    const door = await openFrontDoor(api.emulator, {
      host: "127.65.0.100",
      reach: (host, port) => ({ host, port: ports.get(`${host}:${port}`) ?? 9 }),
      ...options,
    });
    return new World(api, door, ports);
  }

  async close(): Promise<void> {
    await this.door.close();
    await Promise.all(this.#origins.map((origin) => origin.close()));
    await this.api.close();
  }

  /** Fails where the API refuses. */
  async call(method: string, path: string, body?: unknown): Promise<Record<string, never>> {
    const answer = await this.api.call(method, path, body);
    if (!answer.success)
      throw new Error(`${method} ${path}: ${answer.errors.map(({ message }) => message).join("; ")}`);
    return answer.result as Record<string, never>;
  }

  async record(name: string, content: string, more: object = {}): Promise<string> {
    const type = content.includes(":") ? "AAAA" : /^[\d.]+$/.test(content) ? "A" : "CNAME";
    const body = { name, type, content, ttl: 1, proxied: true, ...more };
    return (await this.call("POST", `/zones/${this.api.zoneId}/dns_records`, body))["id"] as unknown as string;
  }

  async setting(id: string, value: unknown): Promise<void> {
    await this.call("PATCH", `/zones/${this.api.zoneId}/settings/${id}`, { value });
  }

  /** Answers 200 with what it heard, unless told otherwise. */
  async origin(address: string, port: number, listener?: RequestListener, tls?: TlsOptions): Promise<Origin> {
    const heard: Heard[] = [];
    const answer: RequestListener = (incoming, response) => {
      void incoming.toArray().then((parts: Buffer[]) => {
        const body = Buffer.concat(parts).toString();
        const { method = "", url: path = "", headers, socket } = incoming;
        heard.push({ method, path, headers, body, peer: socket.remoteAddress ?? "" });
        if (listener) return listener(incoming, response);
        response.end(`${address} heard ${method} ${path}`);
      });
    };
    const server = tls ? createHttpsServer(tls, answer) : createServer(answer);
    server.on("tlsClientError", () => undefined);
    await new Promise<void>((resolve) => server.listen(0, address, resolve));
    this.#ports.set(`${address}:${port}`, (server.address() as AddressInfo).port);
    const origin: Origin = {
      port,
      heard,
      server,
      close: () =>
        new Promise((resolve) => {
          this.#ports.delete(`${address}:${port}`);
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    };
    this.#origins.push(origin);
    return origin;
  }

  /** Something of the test's own that plays a node's port. */
  publish(address: string, port: number, realPort: number): void {
    this.#ports.set(`${address}:${port}`, realPort);
  }

  /** As a visitor's browser: by name, through the front door. */
  async visit(
    url: string,
    { method = "GET", headers = {}, body, from = VISITOR }: VisitOptions = {},
  ): Promise<Visited> {
    const { protocol, host, hostname, pathname, search } = new URL(url);
    const door = new URL(protocol === "https:" ? this.door.https : this.door.http);
    const options = {
      host: door.hostname,
      port: door.port,
      localAddress: from,
      method,
      path: `${pathname}${search}`,
      headers: { host, ...headers },
      agent: false as const,
      ...(protocol === "https:" && { servername: hostname, ca: this.door.authorityPem }),
    };
    const message = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = (protocol === "https:" ? requestHttps : request)(options, resolve);
      outgoing.once("error", reject);
      outgoing.end(body);
    });
    const text = Buffer.concat(await message.toArray()).toString();
    const reason = message.headers["x-rehearsal-reason"] as string | undefined;
    return { status: message.statusCode ?? 0, headers: message.headers, text, reason };
  }

  /** A certificate of the emulated Origin CA for these names, with its key. */
  async originCertificate(
    hostnames: readonly string[],
    days = 365,
  ): Promise<{ id: string } & Required<Pick<SecureContextOptions, "cert" | "key">>> {
    const { csr, key } = await madeCsr();
    const made = await this.call("POST", "/certificates", {
      csr,
      hostnames,
      request_type: "origin-ecc",
      requested_validity: days,
    });
    return { id: made["id"] as unknown as string, cert: made["certificate"] as unknown as string, key };
  }
}

const ECDSA = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

async function madeCsr(): Promise<{ csr: string; key: string }> {
  x509.cryptoProvider.set(webcrypto);
  const keys = await webcrypto.subtle.generateKey(ECDSA, true, ["sign", "verify"]);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ name: "CN=x", keys, signingAlgorithm: ECDSA });
  return { csr: csr.toString("pem"), key: await pemOf(keys.privateKey) };
}

const pemOf = async (key: webcrypto.CryptoKey): Promise<string> =>
  x509.PemConverter.encode(Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)), "PRIVATE KEY");

/** Signed by nobody but itself: for names, or for a client. */
export async function selfSigned(names: readonly string[] = []): Promise<{ cert: string; key: string }> {
  x509.cryptoProvider.set(webcrypto);
  const keys = await webcrypto.subtle.generateKey(ECDSA, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=self",
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    keys,
    signingAlgorithm: ECDSA,
    extensions: [
      new x509.BasicConstraintsExtension(names.length === 0, undefined, true),
      ...(names.length > 0
        ? [new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: "dns" as const, value })))]
        : []),
    ],
  });
  return { cert: certificate.toString("pem"), key: await pemOf(keys.privateKey) };
}
