import { createPrivateKey, X509Certificate } from "node:crypto";
import { createServer, type Server } from "node:https";
import { doorAt } from "../../../../components/cluster/api-doors";
import { ApiServers, NoApiServer } from "../../../../components/cluster/roll/api-servers";
import { AGENT_STATUS_NAME } from "../../../../components/cluster/kubernetes-api";
import type { Authority } from "../../../../rehearsal/k3s/authorities";
import { issueLeaf } from "../../../../rehearsal/k3s/leaf-certificates";
import { makeAuthority } from "../../../rehearsal/machines/support/authorities";

const ADDRESSES = { a: "127.51.9.11", b: "127.51.9.12", c: "127.51.9.13" } as const;
const AGENTS = { "general-1": "127.51.9.21", "general-2": "127.51.9.22" } as const;
type Name = keyof typeof ADDRESSES | keyof typeof AGENTS;
interface Answer {
  readonly status: number;
  readonly body?: string;
}

describe("the API servers of a cluster", () => {
  let authority: Authority;
  let client: { certificatePem: string; keyPem: string };
  const running: Server[] = [];
  const asked: string[] = [];

  beforeAll(async () => {
    authority = await anAuthority("server-ca");
    client = await issueLeaf(authority, { commonName: "administrator", usage: "client" });
  });

  afterEach(async () => {
    asked.length = 0;
    await Promise.all(
      running.splice(0).map(
        (server) =>
          new Promise((closed) => {
            server.close(closed);
            server.closeAllConnections();
          }),
      ),
    );
  });

  const start = async (name: Name, answer: Answer | "never", by = authority): Promise<void> => {
    const address = { ...ADDRESSES, ...AGENTS }[name];
    // Every agent has the same certificate.
    const names = [name in AGENTS ? AGENT_STATUS_NAME : address];
    const leaf = await issueLeaf(by, { commonName: name, names, usage: "server" });
    const server = createServer({ cert: leaf.certificatePem, key: leaf.keyPem }, (request, response) => {
      asked.push(`${name} ${request.method} ${request.url} ${request.headers["content-type"] ?? ""}`.trim());
      if (answer !== "never") response.writeHead(answer.status).end(answer.body ?? "{}");
    });
    running.push(server);
    await new Promise<void>((listening) => server.listen(6443, address, listening));
  };

  const servers = (): ApiServers =>
    new ApiServers(
      {
        servers: Object.entries(ADDRESSES).map(([node, address]) => doorAt(node, address)),
        agents: Object.entries(AGENTS).map(([node, address]) => doorAt(node, address)),
      },
      { authorityPem: authority.pem, certificatePem: client.certificatePem, privateKeyPem: client.keyPem },
      0.5,
    );

  test("answer as one: a request passes over who is away, silent or without etcd, and remembers who answered", async () => {
    await start("b", "never");
    await start("c", { status: 200, body: '{"kind":"NodeList"}' });
    const all = servers();
    expect(await all.send("GET", "/api/v1/nodes")).toEqual({ status: 200, body: { kind: "NodeList" } });
    await all.send("PATCH", "/api/v1/nodes/x", {});
    expect(asked).toEqual([
      "b GET /api/v1/nodes",
      "c GET /api/v1/nodes",
      "c PATCH /api/v1/nodes/x application/merge-patch+json",
    ]);
  });

  test("hand a refusal on as an answer", async () => {
    await start("a", { status: 429, body: '{"message":"not now"}' });
    expect(await servers().send("POST", "/eviction", {})).toEqual({ status: 429, body: { message: "not now" } });
  });

  test("say of each what was wrong when none answers", async () => {
    await start("b", { status: 503 });
    await start("c", { status: 200 }, await anAuthority("server-ca"));
    const failure = servers().send("GET", "/api/v1/nodes");
    await expect(failure).rejects.toThrow(NoApiServer);
    await expect(failure).rejects.toThrow(
      /a \(127\.51\.9\.11\): connect ECONNREFUSED .*; b \(127\.51\.9\.12\): answers 503; c \(127\.51\.9\.13\): (self-signed|unable)/,
    );
  });

  test("tell ready from unready, from booting, and from nobody", async () => {
    const boot = { node: "honeydue-b", stage: "download", reason: "k3s", seconds: 4, definition: "x", fresh: true };
    await start("a", { status: 500, body: "[+]ping ok\n[-]etcd failed: reason withheld\n" });
    await start("b", { status: 503, body: JSON.stringify({ trivet: boot }) });
    await start("general-2", { status: 503, body: JSON.stringify({ trivet: boot }) });
    expect(Object.fromEntries(await servers().states())).toEqual({
      a: { state: "unready", reason: "etcd failed" },
      b: { state: "booting", boot },
      c: { state: "silent", reason: "connect ECONNREFUSED 127.51.9.13:6443" },
      "general-2": { state: "booting", boot }, // of an agent that runs nothing is heard
    });
    await start("c", { status: 500, body: "[-]etcd failed\n[-]poststarthook/rbac/bootstrap-roles failed\n" });
    expect((await servers().states()).get("c")).toEqual({ state: "unready", reason: "it is starting" });
  });

  test("tell a server that answers well", async () => {
    await start("c", { status: 200, body: "ok" });
    expect((await servers().states()).get("c")).toEqual({ state: "ready" });
  });
});

async function anAuthority(name: Authority["name"]): Promise<Authority> {
  const { certificatePem, keyPem } = await makeAuthority({ commonName: name });
  return { name, pem: certificatePem, chain: [new X509Certificate(certificatePem)], key: createPrivateKey(keyPem) };
}
