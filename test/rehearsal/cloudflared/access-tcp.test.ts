import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type AccessTcp, type Connector, keysAt, startAccessTcp, startConnector } from "../../../rehearsal/cloudflared";
import { NODES, World } from "../emulators/cloudflare/door/world";

let world: World;
let connector: Connector;
let apiServer: Server;
let accepted: Socket[];
let token: { client_id: string; client_secret: string };
const forwards: AccessTcp[] = [];

/** An operators' tunnel to something on a node that speaks TCP, as the Kubernetes API is reached; it repeats what it hears, in capitals. */
beforeEach(async () => {
  world = await World.open();
  accepted = [];
  apiServer = createServer((socket) => {
    accepted.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", (part) => socket.write(part.toString().toUpperCase()));
  });
  await new Promise<void>((resolve) => apiServer.listen(0, NODES[0], resolve));
  const account = `/accounts/${world.api.accountId}`;
  token = (await world.call("POST", `${account}/access/service_tokens`, { name: "ci" })) as unknown as typeof token & { id: string }; // prettier-ignore
  const policy = await world.call("POST", `${account}/access/policies`, {
    name: "machines",
    decision: "non_identity",
    include: [{ service_token: { token_id: (token as unknown as { id: string }).id } }],
  });
  const people = await world.call("POST", `${account}/access/policies`, {
    name: "people",
    decision: "allow",
    include: [{ email: { email: "ada@honeydue.example" } }],
  });
  const { aud } = (await world.call("POST", `${account}/access/apps`, {
    name: "api",
    type: "self_hosted",
    domain: "k8s-a.honeydue.example",
    policies: [policy["id"], people["id"]],
  })) as unknown as { aud: string };
  const tunnel = (await world.call("POST", `${account}/cfd_tunnel`, { name: "operators", config_src: "cloudflare" })) as unknown as { id: string; token: string }; // prettier-ignore
  const access = { required: true, teamName: "bees", audTag: [aud] };
  await world.call("PUT", `${account}/cfd_tunnel/${tunnel.id}/configurations`, {
    config: {
      ingress: [
        { hostname: "k8s-a.honeydue.example", service: "tcp://127.0.0.1:6443", originRequest: { access } },
        { service: "http_status:404" },
      ],
    },
  });
  for (const name of ["k8s-a", "open"]) await world.record(name, `${tunnel.id}.cfargotunnel.com`);
  const [host = "", port] = world.door.tunnel.split(":");
  connector = await startConnector({
    token: tunnel.token,
    edge: { host, port: Number(port) },
    accessKeys: keysAt(world.door.http),
    services: async (name, at) =>
      name === "127.0.0.1" && at === 6443
        ? [`${NODES[0]}:${(apiServer.address() as AddressInfo | null)?.port ?? 9}`]
        : [],
  });
  while (connector.readyConnections < 4) await sleep(20);
});
afterEach(async () => {
  for (const forward of forwards.splice(0)) await forward.close();
  connector.kill();
  for (const socket of accepted) socket.destroy();
  apiServer.close();
  await world.close();
});

async function forward(serviceToken?: { clientId: string; clientSecret: string }) {
  const said: string[] = [];
  const made = await startAccessTcp({
    hostname: "k8s-a.honeydue.example",
    edge: world.door,
    ...(serviceToken && { serviceToken }),
    log: (_level, line) => said.push(line),
  });
  forwards.push(made);
  const [host, port] = made.address.split(":");
  return { said, dial: () => connect({ host: host ?? "", port: Number(port) }) };
}
const ours = () => ({ clientId: token.client_id, clientSecret: token.client_secret });

test("bytes of a connection go to the service and back, many and few", async () => {
  const { dial } = await forward(ours());
  const socket = dial();
  socket.write("hello");
  expect(String((await once(socket, "data"))[0])).toBe("HELLO");
  const whole = Buffer.alloc(3_000_000, "bee");
  socket.write(whole);
  let got = 0;
  for await (const part of socket) {
    got += (part as Buffer).length;
    if (got === whole.length) break;
  }
  expect(got).toBe(whole.length);
});

test("each connection is one of its own, and ends at both ends", async () => {
  const { dial } = await forward(ours());
  const greeted = async () => {
    const socket = dial();
    socket.write("x");
    await once(socket, "data");
    return socket;
  };
  // One after the other, so that they are accepted in this order.
  const first = await greeted();
  const second = await greeted();
  expect(accepted).toHaveLength(2);
  first.destroy();
  await once(accepted[0]!, "close");
  accepted[1]!.destroy();
  await once(second, "close");
});

test.each([
  ["without a token", undefined, /asks for a login/],
  ["with a wrong one", { clientId: "x.access", clientSecret: "y" }, /403/],
])("nobody gets to the service %s", async (_what, serviceToken, reason) => {
  const { dial, said } = await forward(serviceToken);
  const socket = dial();
  socket.on("error", () => undefined);
  await once(socket, "close");
  expect(said.join("\n")).toMatch(reason);
  expect(accepted).toEqual([]);
});

test("a service that is away ends the connection", async () => {
  await new Promise((resolve) => apiServer.close(resolve));
  const { dial, said } = await forward(ours());
  const socket = dial();
  socket.on("error", () => undefined);
  await once(socket, "close");
  expect(said.join("\n")).toContain("502");
});

test("a plain request is no way to it", async () => {
  const headers = { "cf-access-client-id": token.client_id, "cf-access-client-secret": token.client_secret };
  expect((await world.visit("https://k8s-a.honeydue.example/", { headers })).status).toBe(502);
  expect(accepted).toEqual([]);
});
