/** Clusters that cannot be reached, from the start or from some moment on, and kubeconfigs that lead nowhere. */

import "reflect-metadata"; // before @peculiar/x509, which injects by it
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import * as x509 from "@peculiar/x509";
import { freePort, HOST, startControlPlane, type ControlPlane } from "../../../support/control-plane";
import { createKubernetesProvider } from "../../../../rehearsal/providers/kubernetes";
import { differences, textMatches, toProperty, toValue } from "./likeness";
import { cases, isFields, kubeconfigs, type Case, type Fields } from "./recording";
import { Replay } from "./replay";
import { expectMet } from "./unmet";
import { makeNamespace } from "./world";
import type { PropertyMap } from "../../../../rehearsal/providers/protocol/provider";

let plane: ControlPlane;
let closed: string;
let stranger: { certificate: string; address: string };
let forbidden: string;
const servers: Server[] = [];

const listen = (server: Server): Promise<string> =>
  new Promise((resolve) => {
    servers.push(server);
    server.listen(0, HOST, () => resolve(`${HOST}:${(server.address() as AddressInfo).port}`));
  });

/** A server with a certificate of an authority that nobody trusts; it lets nobody in. */
const startStranger = async (): Promise<typeof stranger> => {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=stranger",
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 86_400_000),
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  const server = createHttpsServer({ key, cert: certificate.toString("pem") }, (_request, response) => {
    response.writeHead(401).end();
  });
  return { certificate: certificate.toString("pem"), address: await listen(server) };
};

/** Leads to the API server, until it is turned to another place, or to none. */
const startRelay = async (): Promise<{ address: string; turn(target?: string): void }> => {
  let target: string | undefined = plane.server;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    if (target === undefined) {
      client.destroy();
      return;
    }
    const [host = "", port = ""] = target.split(":");
    const upstream = connect(Number(port), host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
    }
    client.pipe(upstream).pipe(client);
  });
  const address = await listen(server);
  return {
    address,
    turn(next) {
      target = next;
      if (next === undefined) server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
};

beforeAll(async () => {
  plane = await startControlPlane();
  await makeNamespace(plane, "contract");
  await makeNamespace(plane, "contract-e");
  closed = `${HOST}:${await freePort()}`;
  stranger = await startStranger();
  const refuse = createHttpServer((_request, response) => {
    response.writeHead(403).end();
  });
  forbidden = await listen(refuse);
});

afterAll(async () => {
  for (const server of servers) server.close();
  await plane?.stop();
});

const OBJECT: Fields = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "e", namespace: "contract-e" },
  data: { a: "1" },
};

const begin = (replay: Replay): void => {
  replay.state = {
    ...OBJECT,
    __inputs: OBJECT,
    __initialApiVersion: "v1",
    __fieldManager: "pulumi-kubernetes-00000000",
  };
  replay.id = "contract-e/e";
};

const named = (prefix: string): Array<readonly [string, Case]> =>
  cases.filter(({ id }) => id.startsWith(prefix)).map((one) => [one.id, one] as const);

test.each(named("unreachable/"))("%s", async (id, one) => {
  const [, how, which = ""] = id.split("/");
  const kubeconfig = {
    closed: () => plane.kubeconfig({ server: `https://${closed}` }),
    authority: () => plane.kubeconfig({ authority: stranger.certificate }),
    unauthorized: () => plane.kubeconfig({ token: "wrong" }),
    forbidden: () => plane.kubeconfig({ server: `http://${forbidden}` }),
  }[how as "closed"]();
  const environment = which.startsWith("env-") ? { [which.slice("env-".length)]: "true" } : {};
  const replay = new Replay({ options: { kubeconfig }, environment, subject: OBJECT });
  begin(replay);
  expectMet(id, await replay.run(one));
  await replay.close();
});

test.each(named("lost-after-configure/"))("%s", async (id, one) => {
  const relay = await startRelay();
  const options = {
    kubeconfig: id.includes("/authority/")
      ? plane.kubeconfig({
          server: `https://${relay.address}`,
          authority: plane.certificate,
          serverName: "kubernetes",
        })
      : plane.kubeconfig({ server: `https://${relay.address}` }),
  };
  const replay = new Replay({
    options,
    subject: OBJECT,
    speed: 2,
    loose: ({ status, ...rest }) => ({
      ...rest,
      ...(isFields(status) ? { status: { ...status, conditions: null } } : {}),
    }),
  });
  begin(replay);
  Object.assign(replay, { config: one.config ?? {} });
  await replay.provider();
  const lose = (): void => relay.turn(id.includes("/closed/") ? undefined : stranger.address);
  if (id.endsWith("/while-waiting")) setTimeout(lose, 1200);
  else lose();
  expectMet(id, await replay.run(one));
  await replay.close();
  relay.turn();
});

const PROBE = { apiVersion: "v1", kind: "ConfigMap", data: { a: "1" } };

test.each(named("configure/"))("%s", async (id, { steps }) => {
  const addressed = (text: string): string =>
    text
      .replaceAll("<server>", plane.server)
      .replaceAll("<closed>", closed)
      .replace("<another authority>", Buffer.from(stranger.certificate).toString("base64"));
  const provider = createKubernetesProvider({ environment: { HOME: "/nonexistent" } });
  const call = {
    urn: "urn:pulumi:test::contract::kubernetes:core/v1:ConfigMap::res",
    type: "kubernetes:core/v1:ConfigMap",
    name: "res",
    signal: new AbortController().signal,
    log: () => undefined,
  };
  const found: string[] = [];
  for (const step of steps) {
    const expected = isFields(step.response) ? step.response : {};
    if (step.call === "Configure") {
      const { kubeconfig, ...rest } = step.variables ?? {};
      const text =
        typeof kubeconfig === "string" ? addressed(kubeconfigs[kubeconfig.slice(1)] ?? kubeconfig) : undefined;
      await provider.configure({
        args: { ...rest, ...(text === undefined ? {} : { kubeconfig: text }) },
        log: call.log,
      });
    } else if (step.call === "Check") {
      const news = toProperty({ ...PROBE, metadata: { name: "x" } }) as PropertyMap;
      const { inputs } = await provider.check({ ...call, olds: {}, news, randomSeed: new Uint8Array(32).fill(7) });
      found.push(...differences(expected["inputs"], toValue(inputs), "inputs"));
    } else {
      const inputs = toProperty({ ...PROBE, metadata: { name: `cfg-probe`, namespace: "contract" } }) as PropertyMap;
      try {
        const { id: created, state } = await provider.create({ ...call, inputs, timeoutSeconds: 0, preview: false });
        found.push(...differences(expected["id"], created, "id"));
        await provider.delete({ ...call, id: created, state, oldInputs: inputs, timeoutSeconds: 0 });
      } catch (error) {
        const { message } = error as Error;
        if (step.error === undefined || !textMatches(step.error.message, message.replaceAll(plane.server, "<server>")))
          found.push(`expected ${JSON.stringify(step.error?.message)}, got ${JSON.stringify(message)}`);
      }
    }
  }
  provider.close();
  expectMet(id, found);
});
