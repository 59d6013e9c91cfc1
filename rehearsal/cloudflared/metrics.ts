import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { CLOUDFLARED_VERSION } from "./version";

/** What cloudflared counts, by its own names (facts of its `metrics` and `connection` packages). */
export class Counters {
  requests = 0;
  errors = 0;
  underWay = 0;
  registerFailures = 0;
  readonly byCode = new Map<number, number>();

  answered(status: number): void {
    this.byCode.set(status, (this.byCode.get(status) ?? 0) + 1);
  }
}

interface Watched {
  readonly connectorId: string;
  readonly counters: Counters;
  readyConnections(): number;
}

/** `/ready` says 200 as long as one connection to the edge stands; `/healthcheck` always, because a restart mends no edge. */
export async function serveMetrics(at: { host: string; port: number }, watched: Watched): Promise<Server> {
  const server = createServer((request, response) => {
    const path = request.url?.split("?", 1)[0];
    const ready = watched.readyConnections();
    if (path === "/ready") {
      const status = ready > 0 ? 200 : 503;
      response.writeHead(status, { "content-type": "application/json" });
      return void response.end(JSON.stringify({ status, readyConnections: ready, connectorId: watched.connectorId }));
    }
    if (path === "/healthcheck") return void response.end("OK\n");
    if (path === "/metrics") {
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
      return void response.end(exposition(watched.counters, ready));
    }
    return void response.writeHead(404).end("404 page not found\n");
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: Error) =>
      reject(new Error(`Error opening metrics server listener on ${at.host}:${at.port}: ${cause.message}`, { cause })),
    );
    server.listen(at.port, at.host, resolve);
  });
  return server;
}

export const metricsUrl = (server: Server): string => {
  const { address, port } = server.address() as AddressInfo;
  return `http://${address.includes(":") ? `[${address}]` : address}:${port}`;
};

function exposition({ requests, errors, underWay, registerFailures, byCode }: Counters, ready: number): string {
  const metric = (name: string, type: string, lines: readonly string[]) => [`# TYPE ${name} ${type}`, ...lines];
  const one = (name: string, type: string, value: number) => metric(name, type, [`${name} ${value}`]);
  return [
    ...metric("build_info", "gauge", [`build_info{type="rehearsal",version="${CLOUDFLARED_VERSION}"} 1`]),
    ...one("cloudflared_tunnel_concurrent_requests_per_tunnel", "gauge", underWay),
    ...one("cloudflared_tunnel_ha_connections", "gauge", ready),
    ...one("cloudflared_tunnel_request_errors", "counter", errors),
    ...metric("cloudflared_tunnel_response_by_code", "counter", [
      ...[...byCode]
        .sort()
        .map(([code, count]) => `cloudflared_tunnel_response_by_code{status_code="${code}"} ${count}`),
    ]),
    ...one("cloudflared_tunnel_total_requests", "counter", requests),
    ...metric("cloudflared_tunnel_tunnel_register_fail", "counter", [
      `cloudflared_tunnel_tunnel_register_fail{error="server_error",rpcName="registerConnection"} ${registerFailures}`,
    ]),
    "",
  ].join("\n");
}
