import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  status,
} from "@grpc/grpc-js";
import { NODES, World } from "./world";

const text = { serialize: (value: string) => Buffer.from(value), deserialize: (bytes: Buffer) => bytes.toString() };
const method = (name: string, stream: boolean) => ({
  path: `/bees.Hive/${name}`,
  requestStream: stream,
  responseStream: stream,
  requestSerialize: text.serialize,
  requestDeserialize: text.deserialize,
  responseSerialize: text.serialize,
  responseDeserialize: text.deserialize,
});
const HIVE: ServiceDefinition = { ask: method("Ask", false), dance: method("Dance", true) };

let world: World;
let server: Server;
let client: Client;
beforeEach(async () => {
  world = await World.open({ grpc: true });
  await world.setting("ssl", "strict");
  await world.record("api", NODES[0]);
  server = new Server();
  server.addService(HIVE, {
    ask: (call: { request: string; metadata: Metadata }, done: (error: object | null, answer?: string) => void) =>
      call.request === "wasp"
        ? done({ code: status.PERMISSION_DENIED, details: "no wasps" })
        : done(null, `${call.request} from ${String(call.metadata.get("cf-connecting-ip")[0])}`),
    dance: (call: NodeJS.ReadWriteStream) => {
      call.on("data", (step: string) => call.write(`${step}!` as never));
      call.on("end", () => call.end());
    },
  });
  const { cert, key } = await world.originCertificate(["*.honeydue.example"]);
  const secure = ServerCredentials.createSsl(null, [
    { cert_chain: Buffer.from(String(cert)), private_key: Buffer.from(String(key)) },
  ]);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`${NODES[0]}:0`, secure, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  world.publish(NODES[0], 443, port);
  client = new Client(new URL(world.door.https).host, credentials.createSsl(Buffer.from(world.door.authorityPem)), {
    "grpc.ssl_target_name_override": "api.honeydue.example",
    "grpc.default_authority": "api.honeydue.example",
  });
});
afterEach(async () => {
  client.close();
  server.forceShutdown();
  await world.close();
});

const ask = (question: string): Promise<string> =>
  new Promise((resolve, reject) =>
    client.makeUnaryRequest("/bees.Hive/Ask", text.serialize, text.deserialize, question, (error, answer) =>
      error ? reject(error) : resolve(answer ?? ""),
    ),
  );

test("a call goes through with the visitor's address, and its status comes back in the trailers", async () => {
  expect(await ask("queen")).toBe("queen from 127.0.0.1");
  await expect(ask("wasp")).rejects.toMatchObject({ code: status.PERMISSION_DENIED, details: "no wasps" });
});

test("a stream flows both ways at once", async () => {
  const call = client.makeBidiStreamRequest("/bees.Hive/Dance", text.serialize, text.deserialize);
  const next = () => new Promise<string>((resolve) => call.once("data", resolve));
  for (const step of ["left", "right"]) {
    call.write(step);
    expect(await next()).toBe(`${step}!`); // before the visitor has ended
  }
  call.end();
  await new Promise((resolve) => call.once("status", resolve));
});

test("an origin without HTTP/2 is no origin for gRPC", async () => {
  await world.origin(NODES[0], 443, undefined, await world.originCertificate(["*.honeydue.example"]));
  const answer = await world.visit("https://api.honeydue.example/bees.Hive/Ask", {
    method: "POST",
    headers: { "content-type": "application/grpc" },
    body: "x",
  });
  expect(answer.status).toBeGreaterThanOrEqual(520);
});

test("a zone whose switch for gRPC is off answers 403", async () => {
  await world.close();
  world = await World.open();
  await world.record("api", NODES[0]);
  const call = { method: "POST", headers: { "content-type": "application/grpc" }, body: "x" };
  expect(await world.visit("https://api.honeydue.example/bees.Hive/Ask", call)).toMatchObject({
    status: 403,
    reason: expect.stringContaining("gRPC is switched off"),
  });
});
