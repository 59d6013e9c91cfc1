import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Server } from "node:net";
import { EdgeAuthority } from "../../../rehearsal/emulators/cloudflare/door/edge-authority";
import { knock } from "../../../rehearsal/drills/knock";

const ADDRESS = "127.0.0.1";
const ASKER = { from: ADDRESS, host: "api.farm.example" };

const open: Server[] = [];
afterEach(() => Promise.all(open.splice(0).map((server) => new Promise((resolve) => server.close(resolve)))));

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, ADDRESS, resolve));
  open.push(server);
  return (server.address() as AddressInfo).port;
}

test("says the status and where somebody is led to", async () => {
  const server = createHttpServer(({ headers: { host }, url }, response) => {
    response.writeHead(301, { location: `https://${host}${url}` }).end();
  });
  const plain = { ...ASKER, path: "/v1?a=b", scheme: "http" } as const;
  expect(await knock(ADDRESS, await listening(server), plain)).toBe("HTTP 301 https://api.farm.example/v1?a=b");
});

test("looks at a certificate only for who trusts somebody", async () => {
  const authority = await EdgeAuthority.make("an authority");
  const { certificate: cert, key } = await authority.issue("farm.example", ["*.farm.example"]);
  const port = await listening(createHttpsServer({ cert, key }, (_, response) => response.end()));
  expect(await knock(ADDRESS, port, ASKER)).toBe("HTTP 200");
  expect(await knock(ADDRESS, port, { ...ASKER, ca: authority.certificatePem })).toBe("HTTP 200");
  expect(await knock(ADDRESS, port, { ...ASKER, host: "elsewhere.example", ca: authority.certificatePem })).toBe(
    "ERR_TLS_CERT_ALTNAME_INVALID",
  );
  const { certificatePem: ca } = await EdgeAuthority.make("another one");
  expect(await knock(ADDRESS, port, { ...ASKER, ca })).toMatch(/CERT|VERIFY/);
});

test("tells a closed port from one that swallows", async () => {
  const swallowing = createServer((socket) => void socket.resume());
  const port = await listening(swallowing);
  expect(await knock(ADDRESS, port, ASKER)).toBe("no answer");
  await new Promise((resolve) => open.pop()!.close(resolve));
  expect(await knock(ADDRESS, port, ASKER)).toBe("ECONNREFUSED");
});
