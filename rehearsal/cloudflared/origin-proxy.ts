import type { OutgoingHttpHeaders } from "node:http";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import { UPGRADE_HEADER } from "../emulators/cloudflare/door/control-messages";
import { exchangeOn, ORIGIN_LIMITS, type OriginAnswer, Origins } from "../emulators/cloudflare/door/origin";
import { endToEnd } from "../emulators/cloudflare/door/visit";
import type { Rule } from "./rules";
import type { Services } from "./services";
import { TcpBridge } from "./tcp-bridge";

/** Requests from the edge to services of the cluster, over connections that are kept. */
export class OriginProxy {
  readonly #services: Services;
  readonly #origins: Origins;
  readonly #bridge = new TcpBridge();

  constructor(services: Services) {
    this.#services = services;
    this.#origins = new Origins({
      from: () => undefined,
      // Addresses come with their port from `services`.
      reach: (address) => {
        const at = address.lastIndexOf(":");
        return { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
      },
      // The edge counts the seconds to the first byte; cloudflared waits as long as the edge does.
      limits: { connectMilliseconds: 30_000, answerMilliseconds: 2 * ORIGIN_LIMITS.answerMilliseconds },
    });
  }

  close(): void {
    this.#origins.close();
  }

  async serve(rule: Rule, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<number> {
    if (!URL.canParse(rule.service)) throw new Error(`this stand-in does not play the service ${rule.service}`);
    const { protocol, hostname, port: given } = new URL(rule.service);
    if (protocol === "tcp:") return this.#serveTcp({ hostname, port: Number(given) }, stream, headers);
    const secure = protocol === "https:" || protocol === "wss:";
    if (!secure && protocol !== "http:" && protocol !== "ws:")
      throw new Error(`this stand-in does not play the service ${rule.service}`);
    const port = given === "" ? (secure ? 443 : 80) : Number(given);
    const addresses = await this.#services(hostname, port);
    if (addresses.length === 0) throw new Error(`dial tcp: ${hostname}:${port} leads to no address`);

    const { origin } = rule;
    const authority = headers[":authority"] ?? "";
    const websocket = headers[UPGRADE_HEADER] === "websocket";
    const { [UPGRADE_HEADER]: _, ...rest } = endToEnd(headers);
    const sent: OutgoingHttpHeaders = {
      ...rest,
      host: origin.hostHeader ?? authority,
      ...(websocket ? { connection: "Upgrade", upgrade: "websocket" } : { connection: "keep-alive" }),
    };
    const serverName = origin.serverName ?? hostname;
    const answer = await this.#origins.send(
      {
        addresses: rotated(addresses),
        port,
        tls: secure
          ? { serverName, clientCertificate: undefined, check: origin.verifiesTls ? unverifiable : undefined }
          : undefined,
      },
      {
        method: headers[":method"] ?? "GET",
        path: headers[":path"] ?? "/",
        headers: sent,
        body: stream,
        hasBody: !websocket && !stream.endAfterHeaders,
      },
    );
    return reply(answer, stream);
  }

  /** The bytes of one connection, in a websocket. */
  async #serveTcp(
    { hostname, port }: { hostname: string; port: number },
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
  ): Promise<number> {
    if (headers[UPGRADE_HEADER] !== "websocket")
      throw new Error(`tcp://${hostname}:${port} is reached by \`cloudflared access tcp\`, not by a plain request`);
    const addresses = await this.#services(hostname, port);
    if (addresses.length === 0) throw new Error(`dial tcp: ${hostname}:${port} leads to no address`);
    const { [UPGRADE_HEADER]: _, ...rest } = endToEnd(headers);
    const answer = await exchangeOn(await this.#bridge.open(rotated(addresses)), {
      method: "GET",
      path: "/",
      headers: { ...rest, host: headers[":authority"] ?? "", connection: "Upgrade", upgrade: "websocket" },
      body: stream,
      hasBody: false,
    });
    return reply(answer, stream);
  }
}

function reply(answer: OriginAnswer, stream: ServerHttp2Stream): number {
  const { message } = answer;
  const status = message.statusCode ?? 502;
  if ("socket" in answer) {
    const { socket, head } = answer;
    // HTTP/2 has no 101.
    stream.respond({ ":status": 200, ...endToEnd(message.headers) });
    if (head.length > 0) stream.write(head);
    socket.on("error", () => stream.destroy());
    stream.once("close", () => socket.destroy());
    socket.once("close", () => stream.end());
    socket.pipe(stream).pipe(socket);
    return status;
  }
  stream.respond({ ":status": status, ...endToEnd(message.headers) }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers(message.trailers));
  stream.once("close", () => message.destroy());
  message.once("error", () => stream.destroy());
  message.pipe(stream);
  return status;
}

/** Services have no public certificates, and the stand-in knows no others: `noTLSVerify`, or plain HTTP inside the cluster. */
const unverifiable = (socket: TLSSocket): string | undefined =>
  socket.authorized ? undefined : "x509: certificate signed by unknown authority";

let turn = 0;
/** Of several endpoints each begins in its turn, as a Service spreads connections. */
function rotated(addresses: readonly string[]): string[] {
  const start = turn++ % addresses.length;
  return [...addresses.slice(start), ...addresses.slice(0, start)];
}
