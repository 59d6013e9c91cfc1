import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Connector, startConnector } from "../../rehearsal/cloudflared";
import { type FrontDoor, openFrontDoor } from "../../rehearsal/emulators/cloudflare/door";
import type { EngineRun, RunOptions } from "../../rehearsal/rehearse/engine";
import { visit as visitThrough } from "../../rehearsal/rehearse/visit";
import { inventory, openRehearsal, type TestRehearsal } from "../support/rehearsal";

const DOMAIN = "hangangjari.example";
/** Goes from the connector straight to the Service: nothing but the tunnel is between the edge and what answers. */
const URL_THROUGH_TUNNEL = `https://api.${DOMAIN}/v1/home`;
const SERVICE = "api.hangangjari.svc:8000";
const SOON_MILLISECONDS = 60_000;

/**
 * The life of a tunnel under the real engine, from one that somebody made by hand to its end. The tests build on one another. The program
 * is the platform's edge alone (edge-alone/): a tunnel needs no server, and connectors are those of this process. How the cluster's own
 * connectors follow shows the drill `tunnel-rotate`.
 */
describe("the users' tunnel of Hangangjari", () => {
  let opened: TestRehearsal;
  let door: FrontDoor;
  let origin: Server;
  let byHand: { id: string; token: string };
  let handsConnector: Connector;
  const connectors: Connector[] = [];

  beforeAll(async () => {
    opened = await openRehearsal({
      loopbackPrefix: "127.40.7",
      stack: "hangangjari",
      projectDirectory: join(__dirname, "edge-alone"),
    });
    door = await openFrontDoor(opened.rehearsal.cloudflare);
    origin = createServer((_request, response) => response.end("home"));
    await new Promise<void>((listening) => origin.listen(0, "127.0.0.1", listening));
  });

  afterAll(async () => {
    for (const connector of connectors) connector.kill();
    origin.closeAllConnections();
    await new Promise((closed) => origin.close(closed));
    await door.close();
    await opened.close();
  });

  const tunnels = () => opened.rehearsal.cloudflare.state.accounts[0]!.tunnels.filter(({ deletedAt }) => !deletedAt);
  const tunnel = () => tunnels().find(({ name }) => name === "hangangjari")!;
  /** As a person on the dashboard. */
  const byPerson = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const account = `/accounts/${opened.rehearsal.stack.cloudflare.accountId}`;
    const cloudflare = opened.rehearsal.client("cloudflare");
    return (await cloudflare.send<{ result: T }>(method, `${account}/cfd_tunnel${path}`, body)).result;
  };
  const set = (key: string, value: string | undefined) => opened.rehearsal.engine.setConfig(`trivet:${key}`, value);
  const up = (options: RunOptions = {}): Promise<EngineRun> =>
    opened.rehearsal.run("up", { ...options, args: ["--skip-preview", ...(options.args ?? [])] });
  const stepsOf = ({ steps }: EngineRun): string[] =>
    steps.map(({ op, urn }) => `${op} ${urn.split("::").at(-1)}`).sort();
  async function thenIdle(): Promise<void> {
    const run = await up();
    expect([run.errors, stepsOf(run)]).toEqual([[], []]);
  }
  /** What the cluster's connectors are given. */
  const token = async (): Promise<string> => (await opened.rehearsal.engine.outputs())["token"] as string;
  const secretIn = (text: string): string => (JSON.parse(Buffer.from(text, "base64").toString()) as { s: string }).s;

  async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = Date.now() + SOON_MILLISECONDS;
    while (!(await isSo())) {
      if (Date.now() > deadline) throw new Error(`waited in vain: ${isSo.toString()}`);
      await new Promise((later) => setTimeout(later, 50));
    }
  }
  function start(asked: string, log: (line: string) => void = () => undefined): Promise<Connector> {
    const [host = "", port] = door.tunnel.split(":");
    return startConnector({
      token: asked,
      edge: { host, port: Number(port) },
      services: (name, at) => {
        const place = `127.0.0.1:${(origin.address() as AddressInfo).port}`;
        return Promise.resolve(`${name}:${at}` === SERVICE ? [place] : []);
      },
      log: (_level, message) => log(message),
    });
  }
  async function connected(asked: string): Promise<Connector> {
    const connector = await start(asked);
    connectors.push(connector);
    await until(() => connector.readyConnections === 4);
    return connector;
  }
  async function thenRefused(asked: string): Promise<void> {
    const said: string[] = [];
    const connector = await start(asked, (line) => said.push(line));
    await until(() => said.some((line) => line.includes("Unauthorized: Invalid tunnel secret")));
    expect(connector.readyConnections).toBe(0);
    connector.kill();
  }
  const connectedClients = () => new Set(tunnel().connections.map(({ clientId }) => clientId));
  const answer = async (): Promise<string> => {
    const { status, body } = await visitThrough(door, URL_THROUGH_TUNNEL);
    return `${status} ${body}`;
  };

  test("where somebody has one of that name, up stops at once, names its id and the setting that takes it over", async () => {
    byHand = await byPerson("POST", "", { name: "hangangjari" });
    await byPerson("PUT", `/${byHand.id}/configurations`, { config: { ingress: [{ service: "http_status:503" }] } });
    handsConnector = await connected(byHand.token);

    const run = await up();
    expect(run.ok).toBe(false);
    expect(run.errors.join("\n")).toContain(
      `tunnel hangangjari (id ${byHand.id}) exists already and is not of this stack. ` +
        `Take it over: pulumi config set --path trivet:adoptTunnels.users ${byHand.id}; or delete it at Cloudflare`,
    );
    expect(run.seconds).toBeLessThan(150); // the provider itself tries for three minutes before it says so
    expect(tunnel()).toMatchObject({ id: byHand.id, configuration: { version: 1 } });
    expect(handsConnector.readyConnections).toBe(4);
  });

  test("with that setting it is imported as it is: same id, same secret, connectors stay, and the rules are the platform's", async () => {
    const before = tunnel().connections.map(({ id }) => id);
    await set("adoptTunnels.users", byHand.id);
    const run = await up();
    expect(run.errors).toEqual([]);
    expect(stepsOf(run)).toContain("import hangangjari-tunnel");
    expect(run.steps.filter(({ op }) => /delete|replace/.test(op))).toEqual([]);

    expect(
      tunnels()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(["hangangjari", "hangangjari-operators"]);
    expect(tunnel()).toMatchObject({ id: byHand.id, secret: secretIn(byHand.token) });
    expect(tunnel().connections.map(({ id }) => id)).toEqual(before);
    expect(await token()).toBe(byHand.token);
    const { dnsRecords } = opened.rehearsal.cloudflare.state.zones[0]!;
    expect(dnsRecords.filter(({ name }) => name === `api.${DOMAIN}`)).toMatchObject([
      { type: "CNAME", content: `${byHand.id}.cfargotunnel.com`, proxied: true },
    ]);
    await until(async () => (await answer()) === "200 home");
    await thenIdle();
  });

  test("without the setting it gets a secret that only the state knows, in place; the old token opens nothing more", async () => {
    await set("adoptTunnels.users", undefined);
    const run = await up();
    expect([run.errors, stepsOf(run)]).toEqual([[], ["update hangangjari-tunnel"]]);
    expect(tunnel()).toMatchObject({ id: byHand.id, secret: secretIn(await token()) });
    expect(await token()).not.toBe(byHand.token);

    // What somebody runs goes on until it is restarted.
    expect(handsConnector.readyConnections).toBe(4);
    await thenRefused(byHand.token);
    const ours = await connected(await token());
    await handsConnector.stop();
    expect(connectedClients()).toEqual(new Set([ours.id]));
    expect(await answer()).toBe("200 home");
    await thenIdle();
  });

  test("a raised revision changes the secret in place: who is connected stays so, who comes needs the new token", async () => {
    const [old, clients] = [await token(), connectedClients()];
    await set("tunnelRevisions.users", "2");
    const run = await up();
    expect(run.errors).toEqual([]);
    expect(stepsOf(run)).toContain("update hangangjari-tunnel");
    expect(tunnel()).toMatchObject({ id: byHand.id, secret: secretIn(await token()) });
    expect(await token()).not.toBe(old);
    expect(connectedClients()).toEqual(clients);
    expect(await answer()).toBe("200 home");
    await thenRefused(old);
    await connected(await token());
    await thenIdle();
  });

  test("one that was deleted on the dashboard is made again by up --refresh, with its rules, record and a new token", async () => {
    await byPerson("DELETE", `/${byHand.id}/connections`);
    await byPerson("DELETE", `/${byHand.id}`);
    await until(async () => (await answer()).startsWith("530"));

    const run = await up({ args: ["--refresh"] });
    expect(run.errors).toEqual([]);
    expect(tunnel().id).not.toBe(byHand.id);
    await connected(await token());
    await until(async () => (await answer()) === "200 home");
    await thenIdle();
  });

  test("destroy says what stays, keeps what is protected and a tunnel that others are connected to; then nothing of it is left", async () => {
    const kept = await opened.rehearsal.run("destroy");
    expect(kept.errors.join("\n")).toContain("it is protected");
    expect(await answer()).toBe("200 home");
    await set("protect", "false");
    expect((await up()).errors).toEqual([]);

    const refused = await opened.rehearsal.run("destroy");
    const preview = refused.output.slice(0, refused.output.indexOf("Destroying ("));
    for (const stays of ["ssl", "security-header", "dnssec"])
      expect(preview).toMatch(new RegExp(`hangangjari-${stays} delete\\[retain\\]`));
    expect(refused.errors.join("\n")).toContain("Cannot delete tunnel because it has active connections");
    for (const connector of connectors.splice(0)) await connector.stop();
    const destroy = await opened.rehearsal.run("destroy", { args: ["--skip-preview"] });
    expect(destroy.errors).toEqual([]);
    expect(tunnels()).toEqual([]);
    const left = Object.entries(await inventory(opened.rehearsal.cloudflare)).filter(([, all]) => all.length > 0);
    expect(left.map(([kind]) => kind)).toEqual(["changedSettings"]);
  });
});
