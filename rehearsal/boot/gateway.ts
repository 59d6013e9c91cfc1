/**
 * Runs inside the network of booted servers, as its gateway to the rehearsal: `node gateway.ts <folder>`. It imports nothing of ours:
 * Node starts it as it stands.
 *
 *  - the metadata service, as far as Hetzner's is used: it knows a server by the address it asks from;
 *  - the release site: the files of `<folder>/site`;
 *  - `<folder>/gateway.sock`: a proxy (HTTP CONNECT) through which the rehearsal reaches the servers. A Unix socket belongs to no network;
 *  - `POST /outside` on the same socket: a door. What connects to an address in here gets to a Unix socket of the rehearsal's.
 */
import { createReadStream, readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, createServer as createTcpServer, type Socket } from "node:net";
import { join, normalize } from "node:path";

interface Metadata {
  address: string;
  instanceId: number;
  hostname: string;
  location: string;
  userData: string;
  fault?: "bad checksum" | "mirror away" | undefined;
}

const [folder = ".", metadataAddress = "", releaseSiteAddress = ""] = process.argv.slice(2);
process.chdir(folder);

const text = (response: ServerResponse, status: number, body: string): void => {
  response.writeHead(status, { "content-type": "text/plain" });
  response.end(body);
};

/** Who asks, by the address it asks from. */
function asker(request: IncomingMessage): Metadata | undefined {
  const from = (request.socket.remoteAddress ?? "").replace(/^::ffff:/, "");
  const servers = JSON.parse(readFileSync("metadata.json", "utf8")) as Metadata[];
  return servers.find(({ address }) => address === from);
}

createServer((request, response) => {
  const server = asker(request);
  if (!server) return text(response, 404, "not found\n");
  switch (request.url) {
    case "/hetzner/v1/userdata":
      return text(response, 200, server.userData);
    case "/hetzner/v1/metadata":
      return text(
        response,
        200,
        `instance-id: ${server.instanceId}\nhostname: ${server.hostname}\nregion: ${server.location}\n`,
      );
    case "/hetzner/v1/metadata/instance-id":
      return text(response, 200, `${server.instanceId}`);
    case "/hetzner/v1/metadata/hostname":
      return text(response, 200, server.hostname);
    default:
      return text(response, 404, "not found\n");
  }
}).listen(80, metadataAddress);

createServer((request: IncomingMessage, response) => {
  const name = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://site").pathname));
  const file = join("site", name);
  const fault = asker(request)?.fault;
  if (fault === "mirror away") return void request.socket.destroy();
  try {
    if (fault === "bad checksum") return text(response, 200, `not ${name}\n`);
    const { size } = statSync(file);
    response.writeHead(200, { "content-type": "application/octet-stream", "content-length": size });
    createReadStream(file)
      .on("error", () => response.destroy())
      .pipe(response);
  } catch {
    text(response, 404, "not found\n");
  }
}).listen(80, releaseSiteAddress);

const proxy = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk: Buffer) => (body += chunk.toString()));
  request.on("end", () => {
    const { address, port, socket } = JSON.parse(body) as { address: string; port: number; socket: string };
    createTcpServer((client) => pass(client, connect(socket)))
      .on("error", (error) => text(response, 500, error.message))
      .listen(port, address, () => text(response, 200, "open\n"));
  });
});
proxy.on("connect", (request, client: Socket, head) => {
  const [host = "", port = ""] = (request.url ?? "").split(":");
  const server = connect({ host, port: Number(port), noDelay: true });
  server.once("error", () => client.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
  client.once("error", () => server.destroy());
  server.once("connect", () => {
    client.write("HTTP/1.1 200 OK\r\n\r\n");
    server.write(head);
    pass(client, server);
  });
});
// By a relative path: the absolute one may be longer than a socket's name can be.
proxy.listen("gateway.sock");

function pass(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.pipe(to);
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
  }
}
