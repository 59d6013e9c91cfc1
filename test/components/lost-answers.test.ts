import * as pulumi from "@pulumi/pulumi";
import type { CloudApi } from "../../components/cloud-api";
import { attachMissing } from "../../components/cluster/private-network";
import { lostAnswerOptions, removeAccessTwins, revokeTwins } from "../../components/lost-answers";
import { registered } from "../support/mocks";

const MINE = "00112233445566ff";

/** A cloud of paths and answers; a deletion takes the path's answer away, and all writes are noted. */
function cloud(answers: Record<string, unknown>): CloudApi & { writes: string[] } {
  const writes: string[] = [];
  return {
    writes,
    get: async <T>(path: string) => answers[path] as T | undefined,
    send: async <T>(method: string, path: string, body?: unknown) => {
      writes.push(`${method} ${path}${body === undefined ? "" : ` ${JSON.stringify(body)}`}`);
      if (method === "DELETE") delete answers[path];
      if (path.endsWith("attach_to_network")) {
        const id = path.split("/")[2];
        answers[`/servers/${id}`] = { server: { private_net: [{ network: (body as { network: number }).network }] } };
      }
      return undefined as T | undefined;
    },
  };
}

const server = (labels: Record<string, string>, created: Date) => ({
  id: 42,
  name: "honeydue-a",
  labels,
  created: created.toISOString(),
});
const serverCloud = (labels: Record<string, string>, created = new Date()) => {
  const object = server(labels, created);
  return cloud({ "/servers?name=honeydue-a": { servers: [object] }, "/servers/42": { server: object } });
};

/** What the hook answers to a failed create of a server, called as the engine calls it. */
async function afterFailedCreate(hetzner: CloudApi, failedOperation = "create"): Promise<boolean> {
  const hook = await hookOf({ hetzner });
  return hook.callback({
    urn: "urn:pulumi:s::p::hcloud:index/server:Server::honeydue-a",
    id: "",
    name: "honeydue-a",
    type: "hcloud:index/server:Server",
    newInputs: { name: "honeydue-a" },
    failedOperation,
    errors: ["uniqueness_error"],
  });
}

async function hooksOf(clouds: { hetzner?: CloudApi; cloudflare?: CloudApi }): Promise<pulumi.ResourceHookBinding> {
  let hooks: pulumi.ResourceHookBinding = {};
  await registered(() => {
    ({ hooks } = lostAnswerOptions({ hetzner: cloud({}), cloudflare: cloud({}), ...clouds, installation: MINE }));
    return [];
  });
  return hooks;
}

const hookOf = async (clouds: Parameters<typeof hooksOf>[0]): Promise<pulumi.ErrorHook> =>
  (await hooksOf(clouds)).onError![0]!;

/** The hook that looks before a create, called as the engine calls it. */
async function beforeCreateAt(cloudflare: CloudApi, type: string, newInputs: Record<string, unknown>): Promise<void> {
  const [hook] = (await hooksOf({ cloudflare })).beforeCreate as pulumi.ResourceHook[];
  await hook!.callback({ urn: `urn:pulumi:s::p::${type}::n`, id: "", name: "n", type, newInputs });
}

/** The same for a resource at Cloudflare. */
async function afterFailedCreateAt(
  cloudflare: CloudApi,
  type: string,
  newInputs: Record<string, unknown>,
): Promise<boolean> {
  const hook = await hookOf({ cloudflare });
  const error = { id: "", name: "n", failedOperation: "create", errors: ["it exists already"] };
  return hook.callback({ urn: `urn:pulumi:s::p::${type}::n`, type, newInputs, ...error });
}

describe("what a lost answer left", () => {
  let said: string[];
  beforeEach(() => {
    said = [];
    for (const severity of ["info", "error", "debug"] as const) {
      jest
        .spyOn(pulumi.log, severity)
        .mockImplementation(async (...args: unknown[]) => void said.push(`${severity}: ${String(args[0])}`));
    }
  });
  afterEach(() => jest.restoreAllMocks());

  test("is removed, and the create is tried again", async () => {
    const hetzner = serverCloud({ installation: MINE });
    expect(await afterFailedCreate(hetzner)).toBe(true);
    expect(hetzner.writes).toEqual(["DELETE /servers/42"]);
    expect(said[0]).toMatch(/^info: server honeydue-a \(id 42\) was made by a run that lost its answer/);
  });

  test("is never touched when it carries another stack's mark, or none", async () => {
    for (const labels of [{ installation: "ffffffffffffffff" }, {}] as Record<string, string>[]) {
      const hetzner = serverCloud(labels);
      expect(await afterFailedCreate(hetzner)).toBe(false);
      expect(hetzner.writes).toEqual([]);
    }
    expect(said.at(-1)).toMatch(/^error: server honeydue-a \(id 42\) exists already and is not of this stack/);
  });

  test("is left to people when it is a server that has lived for more than an hour", async () => {
    const hetzner = serverCloud({ installation: MINE }, new Date(Date.now() - 61 * 60 * 1000));
    expect(await afterFailedCreate(hetzner)).toBe(false);
    expect(hetzner.writes).toEqual([]);
    expect(said.at(-1)).toContain("If the state was restored from an older copy, import it");
  });

  test("is looked for after a create only, and not when nothing is there", async () => {
    const hetzner = serverCloud({ installation: MINE });
    expect(await afterFailedCreate(hetzner, "update")).toBe(false);
    expect(await afterFailedCreate(cloud({}))).toBe(false);
    expect(hetzner.writes).toEqual([]);
  });

  test("of a certificate is known by the signing request, and only the twins are revoked", async () => {
    const result = [
      { id: "kept", csr: "OURS\n" },
      { id: "twin", csr: "OURS" },
      { id: "other", csr: "THEIRS" },
    ];
    const cloudflare = cloud({ "/certificates?zone_id=zone&per_page=50": { result } });
    let hook: pulumi.ResourceHook | undefined;
    await registered(() => {
      hook = revokeTwins(cloudflare, "zone");
      return [];
    });
    await hook?.callback({
      urn: "urn",
      id: "kept",
      name: "n",
      type: "t",
      newInputs: { csr: "OURS" },
    });
    expect(cloudflare.writes).toEqual(["DELETE /certificates/twin"]);
  });
});

describe("a client certificate for origin pulls that a lost answer left", () => {
  const type = "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate";
  const inputs = { zoneId: "zone", certificate: "OURS", privateKey: "KEY" };
  const list = "/zones/zone/origin_tls_client_auth?per_page=50";
  beforeEach(() => jest.spyOn(pulumi.log, "info").mockResolvedValue());
  afterEach(() => jest.restoreAllMocks());

  test("is known by its content, whose key nobody else has, and is removed", async () => {
    const result = [
      { id: "gone", certificate: "OURS", status: "pending_deletion" },
      { id: "theirs", certificate: "THEIRS", status: "active" },
      { id: "twin", certificate: "OURS\n", status: "pending_deployment" },
    ];
    const cloudflare = cloud({ [list]: { result } });
    expect(await afterFailedCreateAt(cloudflare, type, inputs)).toBe(true);
    expect(cloudflare.writes).toEqual(["DELETE /zones/zone/origin_tls_client_auth/twin"]);
  });

  test("is not looked for twice where the create failed for another reason", async () => {
    const cloudflare = cloud({ [list]: { result: [{ id: "theirs", certificate: "THEIRS", status: "active" }] } });
    expect(await afterFailedCreateAt(cloudflare, type, inputs)).toBe(false);
    expect(cloudflare.writes).toEqual([]);
  });
});

describe("a tunnel that is there already", () => {
  const type = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared";
  const inputs = { accountId: "acc", name: "honeydue", tunnelSecret: pulumi.secret("T1VSUw==") };
  const list = "/accounts/acc/cfd_tunnel?name=honeydue&is_deleted=false";
  const tokenOf = (s: string): string => Buffer.from(JSON.stringify({ a: "acc", t: "t1", s })).toString("base64");
  const there = (secret: string, connections: unknown[] = []) =>
    cloud({
      [list]: { result: [{ id: "t1", connections }] },
      "/accounts/acc/cfd_tunnel/t1/token": { result: tokenOf(secret) },
    });
  const said: string[] = [];
  beforeEach(() => {
    said.length = 0;
    jest.spyOn(pulumi.log, "info").mockResolvedValue();
    jest.spyOn(pulumi.log, "error").mockImplementation(async (text) => void said.push(text));
  });
  afterEach(() => jest.restoreAllMocks());

  test("is known by the secret that this state has drawn, and is removed", async () => {
    const cloudflare = there("T1VSUw==");
    expect(await afterFailedCreateAt(cloudflare, type, inputs)).toBe(true);
    expect(cloudflare.writes).toEqual(["DELETE /accounts/acc/cfd_tunnel/t1"]);
  });

  test("is left alone when its secret is another's, and the way to take it over is told", async () => {
    const cloudflare = there("VEhFSVJT");
    expect(await afterFailedCreateAt(cloudflare, type, inputs)).toBe(false);
    expect(cloudflare.writes).toEqual([]);
    expect(said[0]).toContain("pulumi config set --path trivet:adoptTunnels.users t1");
    expect(said[0]).not.toContain("VEhFSVJT");
  });

  test("is told before the create, which would be tried for minutes", async () => {
    const theirs = there("VEhFSVJT");
    await expect(beforeCreateAt(theirs, type, inputs)).rejects.toThrow(
      "tunnel honeydue (id t1) exists already and is not of this stack. Take it over: pulumi config set --path trivet:adoptTunnels.users t1",
    );
    expect(theirs.writes).toEqual([]);
    await beforeCreateAt(cloud({}), type, inputs);
    const ours = there("T1VSUw==");
    await beforeCreateAt(ours, type, inputs);
    expect(ours.writes).toEqual(["DELETE /accounts/acc/cfd_tunnel/t1"]);
  });

  test("does not stop a create when Cloudflare cannot be asked: that has an error of its own", async () => {
    jest.spyOn(pulumi.log, "debug").mockResolvedValue();
    const away = { get: () => Promise.reject(new Error("ECONNREFUSED")), send: () => Promise.resolve(undefined) };
    await beforeCreateAt(away, type, inputs);
  });

  test("is left alone when connectors are connected to it", async () => {
    const cloudflare = there("T1VSUw==", [{ id: "c" }]);
    expect(await afterFailedCreateAt(cloudflare, type, inputs)).toBe(false);
    expect(cloudflare.writes).toEqual([]);
  });

  test("loses what is left of its connections when its delete fails, and is deleted again", async () => {
    const cloudflare = cloud({});
    const hook = await hookOf({ cloudflare });
    const failure = {
      urn: `urn:pulumi:s::p::${type}::n`,
      id: "t1",
      name: "n",
      type,
      oldInputs: { accountId: "acc" },
      failedOperation: "delete",
      errors: ["Cannot delete tunnel because it has active connections"],
    };
    expect(await hook.callback(failure)).toBe(true);
    expect(cloudflare.writes).toEqual(["DELETE /accounts/acc/cfd_tunnel/t1/connections"]);
    expect(await hook.callback(failure)).toBe(true);
    expect(await hook.callback(failure)).toBe(false);
  });
});

describe("a DNS record that cannot be made", () => {
  const type = "cloudflare:index/dnsRecord:DnsRecord";
  const list = "/zones/zone/dns_records?name=admin.honeydue.example&per_page=100";
  const inputs = { zoneId: "zone", name: "admin.honeydue.example", type: "CNAME", content: "x.cfargotunnel.com" };
  const there = (...records: Record<string, string>[]) => cloud({ [list]: { result: records } });
  const said: string[] = [];
  beforeEach(() => {
    said.length = 0;
    jest.spyOn(pulumi.log, "info").mockResolvedValue();
    jest.spyOn(pulumi.log, "error").mockImplementation(async (text) => void said.push(text));
  });
  afterEach(() => jest.restoreAllMocks());

  test("because a lost answer has left it is removed, and made again", async () => {
    const left = { id: "r1", type: "CNAME", content: "x.cfargotunnel.com", comment: `trivet ${MINE}` };
    const cloudflare = there(left);
    expect(await afterFailedCreateAt(cloudflare, type, inputs)).toBe(true);
    expect(cloudflare.writes).toEqual(["DELETE /zones/zone/dns_records/r1"]);
  });

  const A = { id: "r1aaaaaaaaaa", type: "A", content: "203.0.113.11", comment: `trivet ${MINE}` };
  const others = [
    { id: "r2", type: "TXT", content: "x", comment: `trivet ${MINE}` },
    { id: "r3", type: "CNAME", content: "x.cfargotunnel.com", comment: `trivet ${MINE}` },
  ];

  test("beside our own addresses finds room: they keep their ids, by which the engine deletes them at the end", async () => {
    const cloudflare = there(A, ...others);
    await beforeCreateAt(cloudflare, type, inputs);
    expect(cloudflare.writes).toEqual([
      'PATCH /zones/zone/dns_records/r1aaaaaaaaaa {"name":"trivet-leaving-r1aaaaaa.admin.honeydue.example"}',
    ]);
  });

  test("of a kind that may stand beside others moves nothing", async () => {
    for (const inputsOf of [{ type: "A", content: "203.0.113.12" }, { type: "TXT" }]) {
      const cloudflare = there(A, others[0]!);
      await beforeCreateAt(cloudflare, type, { ...inputs, ...inputsOf });
      expect(cloudflare.writes).toEqual([]);
    }
  });

  test("for another reason gives the name back to those that made room", async () => {
    const cloudflare = there(A);
    const { beforeCreate, onError } = await hooksOf({ cloudflare });
    const about = { urn: "urn:pulumi:s::p::t::n", id: "", name: "n", type, newInputs: inputs };
    await (beforeCreate as pulumi.ResourceHook[])[0]!.callback(about);
    expect(await onError![0]!.callback({ ...about, failedOperation: "create", errors: ["no quota"] })).toBe(false);
    expect(cloudflare.writes.at(-1)).toBe(
      'PATCH /zones/zone/dns_records/r1aaaaaaaaaa {"name":"admin.honeydue.example"}',
    );
  });

  test("beside somebody else's is refused beforehand, and theirs is not touched", async () => {
    const cloudflare = there(A, { ...A, id: "r4", content: "192.0.2.9", comment: "by hand" });
    await expect(beforeCreateAt(cloudflare, type, inputs)).rejects.toThrow(
      "admin.honeydue.example has A 192.0.2.9, which is not of this stack",
    );
    expect(cloudflare.writes).toEqual([]);
  });
});

describe("what Cloudflare Access has already", () => {
  const type = "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication";
  const list = "/accounts/acc/access/apps?per_page=1000";
  const inputs = { accountId: "acc", domain: "admin.honeydue.example", policies: [{ id: "ours", precedence: 1 }] };
  beforeEach(() => {
    jest.spyOn(pulumi.log, "info").mockResolvedValue();
    jest.spyOn(pulumi.log, "error").mockResolvedValue();
  });
  afterEach(() => jest.restoreAllMocks());

  test("is an application of ours when it has our policies, and no other is touched", async () => {
    const application = (policy: string) => ({
      id: "a1",
      domain: "admin.honeydue.example",
      policies: [{ id: policy }],
    });
    const ours = cloud({ [list]: { result: [application("ours")] } });
    expect(await afterFailedCreateAt(ours, type, inputs)).toBe(true);
    expect(ours.writes).toEqual(["DELETE /accounts/acc/access/apps/a1"]);
    const theirs = cloud({ [list]: { result: [application("theirs")] } });
    expect(await afterFailedCreateAt(theirs, type, inputs)).toBe(false);
    expect(theirs.writes).toEqual([]);
  });

  test("is a twin of a policy when it has the same name, in which our mark stands", async () => {
    const result = [
      { id: "kept", name: "honeydue people (trivet 0011)" },
      { id: "twin", name: "honeydue people (trivet 0011)" },
      { id: "other", name: "honeydue people (trivet 2233)" },
    ];
    const cloudflare = cloud({ "/accounts/acc/access/policies?per_page=1000": { result } });
    let hook: pulumi.ResourceHook | undefined;
    await registered(() => {
      hook = removeAccessTwins(cloudflare);
      return [];
    });
    await hook?.callback({
      urn: "urn",
      id: "kept",
      name: "n",
      type: "cloudflare:index/zeroTrustAccessPolicy:ZeroTrustAccessPolicy",
      newInputs: { accountId: "acc", name: "honeydue people (trivet 0011)" },
    });
    expect(cloudflare.writes).toEqual(["DELETE /accounts/acc/access/policies/twin"]);
  });
});

describe("a ruleset of a phase that has one already", () => {
  const type = "cloudflare:index/ruleset:Ruleset";
  const inputs = { zoneId: "zone", phase: "http_ratelimit" };
  const there = (description: string) =>
    cloud({
      "/zones/zone/rulesets": {
        result: [
          { id: "managed", name: "m", kind: "managed", phase: "http_ratelimit", description: `trivet ${MINE}` },
          { id: "r1", name: "r", kind: "zone", phase: "http_ratelimit", description },
        ],
      },
    });
  beforeEach(() => jest.spyOn(pulumi.log, "info").mockResolvedValue());
  afterEach(() => jest.restoreAllMocks());

  test("is removed when it carries our mark, and its owner is told the way otherwise", async () => {
    const ours = there(`trivet ${MINE}`);
    expect(await afterFailedCreateAt(ours, type, inputs)).toBe(true);
    expect(ours.writes).toEqual(["DELETE /zones/zone/rulesets/r1"]);
    const said = jest.spyOn(pulumi.log, "error").mockResolvedValue();
    const theirs = there("made by hand");
    expect(await afterFailedCreateAt(theirs, type, inputs)).toBe(false);
    expect(theirs.writes).toEqual([]);
    expect(said.mock.calls[0]![0]).toContain("pulumi import cloudflare:index/ruleset:Ruleset <name> zones/zone/r1");
  });
});

describe("a server whose create ended half way", () => {
  const networks = [{ subnetId: "7-10.0.1.0/24", ip: "10.0.1.11" }];

  test("is attached to the network it lacks", async () => {
    const api = cloud({ "/servers/42": { server: { private_net: [] } } });
    await attachMissing(api, "42", networks);
    expect(api.writes).toEqual(['POST /servers/42/actions/attach_to_network {"network":7,"ip":"10.0.1.11"}']);
  });

  test("is left alone when it has its network", async () => {
    const api = cloud({ "/servers/42": { server: { private_net: [{ network: 7 }] } } });
    await attachMissing(api, "42", networks);
    expect(api.writes).toEqual([]);
  });
});
