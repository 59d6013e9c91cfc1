import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import {
  type CloudflareEmulator,
  connectTunnel,
  startCloudflareEmulator,
} from "../../../../rehearsal/emulators/cloudflare";
import { createCloudflareProvider } from "../../../../rehearsal/providers/cloudflare";
import { RESOURCE_TYPES } from "../../../../rehearsal/providers/cloudflare/resources";
import { type PropertyMap, type Provider, Secret, UNKNOWN } from "../../../../rehearsal/providers/protocol/provider";

const TOKEN = "trivet-test-token-0123456789-0123456789";

let emulator: CloudflareEmulator;
let provider: Provider;
let zoneId: string;
let accountId: string;
const log = () => {};

beforeEach(async () => {
  emulator = await startCloudflareEmulator({
    zones: [{ name: "honeydue.example", plan: "pro" }],
    tokens: [{ value: `${TOKEN}0` }],
    publicRanges: ["127.20.0.0/16"],
    edgeDeploymentSeconds: 3600,
  });
  zoneId = emulator.state.zones[0]?.id ?? "";
  accountId = emulator.state.accounts[0]?.id ?? "";
  provider = createCloudflareProvider({ environment: {}, client: { firstDelayMilliseconds: 1, retries: 3 } });
  await provider.configure({ args: { apiToken: new Secret(`${TOKEN}0`), baseUrl: emulator.baseUrl }, log });
});
afterEach(() => emulator.close());

interface Resource {
  type: string;
  id: string;
  inputs: PropertyMap;
  state: PropertyMap;
}
const call = (type: string) => ({
  urn: `urn:pulumi:dev::trivet::${type}::example`,
  type,
  name: "example",
  signal: new AbortController().signal,
  log,
});
const token = (name: string): string => RESOURCE_TYPES.find((type) => type.token.endsWith(`:${name}`))?.token ?? name;

async function checked(type: string, news: PropertyMap, olds: PropertyMap = {}): Promise<PropertyMap> {
  const { inputs, failures = [] } = await provider.check({ ...call(type), olds, news, randomSeed: new Uint8Array(32) });
  expect(failures).toEqual([]);
  return inputs;
}

async function create(name: string, given: PropertyMap): Promise<Resource> {
  const type = token(name);
  const inputs = await checked(type, given);
  const { id, state } = await provider.create({ ...call(type), inputs, timeoutSeconds: 0, preview: false });
  return { type, id, inputs, state };
}

async function update(resource: Resource, given: PropertyMap): Promise<Resource> {
  const { type, id, inputs: oldInputs, state: olds } = resource;
  const news = await checked(type, given, oldInputs);
  const { state } = await provider.update({
    ...call(type),
    id,
    olds,
    news,
    oldInputs,
    timeoutSeconds: 0,
    preview: false,
    ignoreChanges: [],
  });
  return { type, id, inputs: news, state };
}

const remove = ({ type, id, state, inputs }: Resource) =>
  provider.delete({ ...call(type), id, state, oldInputs: inputs, timeoutSeconds: 0 });
const read = ({ type, id, state, inputs }: Resource) => provider.read({ ...call(type), id, state, inputs });
const changes = async ({ type, id, state, inputs }: Resource) =>
  (
    await provider.diff({
      ...call(type),
      id,
      olds: state,
      news: await checked(type, inputs, inputs),
      oldInputs: inputs,
      ignoreChanges: [],
    })
  ).changes;

/** What an `up`, a `refresh` and a `preview` after it may show: nothing. */
async function expectStill(resource: Resource): Promise<void> {
  expect(await changes(resource)).toBe("none");
  const now = await read(resource);
  expect(now).toEqual({ id: resource.id, state: resource.state, inputs: resource.inputs });
}

async function csr(kind: "rsa" | "ecc" = "ecc"): Promise<string> {
  const algorithm =
    kind === "ecc"
      ? { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
      : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", publicExponent: new Uint8Array([1, 0, 1]), modulusLength: 2048 };
  x509.cryptoProvider.set(webcrypto);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: "CN=honeydue.example",
    keys,
    signingAlgorithm: algorithm,
  });
  return `${request.toString("pem")}\n`;
}

async function clientPair(): Promise<PropertyMap> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  x509.cryptoProvider.set(webcrypto);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=honeydue",
    keys,
    signingAlgorithm: algorithm,
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return {
    certificate: `${certificate.toString("pem")}\n`,
    privateKey: new Secret(`-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`),
  };
}

const hostnamePull = async (hostname: string): Promise<PropertyMap> => {
  const certificate = await create("AuthenticatedOriginPullsHostnameCertificate", { zoneId, ...(await clientPair()) });
  return { hostname, certId: certificate.id, enabled: true };
};

/** The registrar has the zone's DS record, so that DNSSEC is what the program says. */
function delegate(isDelegated: boolean): void {
  const dnssec = emulator.state.zones[0]?.dnssec;
  if (dnssec) dnssec.isDelegated = isDelegated;
}

/** Inputs of each type, what they become, and the import id that leads to the same. */
interface Life {
  name: string;
  given: () => Promise<PropertyMap> | PropertyMap;
  changed?: (given: PropertyMap) => PropertyMap;
  importId: (resource: Resource) => string;
  /** Inputs that an import gives beyond those of the program. */
  importsMore?: string[];
  /** Inputs whose secrets the API does not give back. */
  importsLess?: string[];
  /** What has to happen before the API lets it be deleted. */
  beforeDelete?: () => Promise<void>;
  /** True where the API has no delete and the thing stays. */
  stays?: true;
}

const tunnelId = async () =>
  (await create("ZeroTrustTunnelCloudflared", { accountId, name: "edge", configSrc: "cloudflare" })).id;

const policyId = async () =>
  (
    await create("ZeroTrustAccessPolicy", {
      accountId,
      name: "operators",
      decision: "allow",
      includes: [{ everyone: {} }],
    })
  ).id;
const projectName = async () =>
  (await create("PagesProject", { accountId, name: "brand", productionBranch: "main" })).id;

const lives: Life[] = [
  {
    name: "DnsRecord",
    given: () => ({
      zoneId,
      name: "api.honeydue.example",
      type: "A",
      content: "127.20.0.11",
      ttl: 1,
      proxied: true,
      comment: "node a",
    }),
    changed: (given) => ({ ...given, content: "127.20.0.12", comment: "node b" }),
    importId: ({ id }) => `${zoneId}/${id}`,
    importsMore: ["settings", "tags"],
  },
  {
    name: "ZoneSetting",
    given: () => ({ zoneId, settingId: "ssl", value: "strict" }),
    changed: (given) => ({ ...given, value: "full" }),
    importId: () => `${zoneId}/ssl`,
    stays: true,
  },
  {
    name: "OriginCaCertificate",
    given: async () => ({
      csr: await csr(),
      hostnames: ["*.honeydue.example", "honeydue.example"],
      requestType: "origin-ecc",
      requestedValidity: 5475,
    }),
    importId: ({ id }) => id,
  },
  {
    name: "ZeroTrustTunnelCloudflared",
    given: () => ({ accountId, name: "hangangjari", configSrc: "cloudflare" }),
    changed: (given) => ({ ...given, name: "hangangjari-2" }),
    importId: ({ id }) => `${accountId}/${id}`,
  },
  {
    name: "ZeroTrustTunnelCloudflaredConfig",
    given: async () => ({
      accountId,
      tunnelId: await tunnelId(),
      config: {
        ingresses: [
          {
            hostname: "api.honeydue.example",
            service: "http://traefik.kube-system:80",
            originRequest: { connectTimeout: 10, noTlsVerify: false, httpHostHeader: "api.honeydue.example" },
          },
          { service: "http_status:404" },
        ],
        originRequest: { connectTimeout: 30 },
      },
    }),
    changed: (given) => ({ ...given, config: { ingresses: [{ service: "http_status:503" }] } }),
    importId: ({ inputs }) => `${accountId}/${String(inputs["tunnelId"])}`,
    importsMore: ["source"],
    stays: true,
  },
  {
    name: "AuthenticatedOriginPullsSettings",
    given: () => ({ zoneId, enabled: true }),
    changed: (given) => ({ ...given, enabled: false }),
    importId: () => zoneId,
    stays: true,
  },
  {
    name: "AuthenticatedOriginPullsCertificate",
    given: async () => ({ zoneId, ...(await clientPair()) }),
    importId: ({ id }) => `${zoneId}/${id}`,
    importsLess: ["privateKey"],
  },
  {
    name: "AuthenticatedOriginPullsHostnameCertificate",
    given: async () => ({ zoneId, ...(await clientPair()) }),
    importId: ({ id }) => `${zoneId}/${id}`,
    importsLess: ["privateKey"],
  },
  {
    name: "AuthenticatedOriginPulls",
    given: async () => ({ zoneId, configs: [await hostnamePull("api.honeydue.example")] }),
    changed: (given) => ({ ...given, configs: [{ ...(given["configs"] as PropertyMap[])[0], enabled: false }] }),
    importId: () => `${zoneId}/api.honeydue.example`,
    importsLess: ["configs"],
  },
  {
    name: "ZoneDnssec",
    given: () => (delegate(true), { zoneId, status: "active" }),
    changed: (given) => ({ ...given, dnssecMultiSigner: true }),
    importId: () => zoneId,
    beforeDelete: async () => {
      delegate(false);
      await fetch(`${emulator.baseUrl}/zones/${zoneId}/dnssec`, {
        method: "PATCH",
        headers: { authorization: `Bearer ${TOKEN}0`, "content-type": "application/json" },
        body: JSON.stringify({ status: "disabled" }),
      });
    },
    stays: true,
  },
  {
    name: "ZeroTrustAccessServiceToken",
    given: () => ({ accountId, name: "ci", duration: "8760h" }),
    changed: (given) => ({ ...given, name: "probe" }),
    importId: ({ id }) => `accounts/${accountId}/${id}`,
    // Neither is told by the API.
    importsLess: ["clientSecret", "clientSecretVersion"],
  },
  {
    name: "Ruleset",
    given: () => ({
      zoneId,
      name: "default",
      kind: "zone",
      phase: "http_request_firewall_custom",
      description: "what nobody needs",
      rules: [
        {
          ref: "dot_files",
          action: "block",
          expression: '(starts_with(http.request.uri.path, "/."))',
          description: "dot files",
          enabled: true,
        },
        { ref: "metrics", action: "block", expression: '(http.request.uri.path eq "/metrics")', enabled: true },
      ],
    }),
    changed: (given) => ({
      ...given,
      rules: [
        {
          ref: "metrics",
          action: "managed_challenge",
          expression: '(http.request.uri.path eq "/metrics")',
          enabled: true,
        },
        {
          ref: "dot_files",
          action: "block",
          expression: '(starts_with(http.request.uri.path, "/."))',
          description: "dot files",
          enabled: true,
        },
      ],
    }),
    importId: ({ id }) => `zones/${zoneId}/${id}`,
  },
  {
    name: "ZeroTrustAccessPolicy",
    given: () => ({
      accountId,
      name: "operators",
      decision: "allow",
      includes: [
        { emailDomain: { domain: "honeydue.example" } },
        { githubOrganization: { name: "honeydue", identityProviderId: "699d98642c564d2e855e9661899b7252" } },
      ],
      requires: [{ geo: { countryCode: "DE" } }],
      sessionDuration: "12h",
    }),
    changed: (given) => ({ ...given, includes: [{ everyone: {} }] }),
    importId: ({ id }) => `${accountId}/${id}`,
  },
  {
    name: "ZeroTrustAccessApplication",
    given: async () => ({
      accountId,
      type: "self_hosted",
      name: "admin",
      domain: "admin.honeydue.example",
      sessionDuration: "24h",
      policies: [{ id: await policyId(), precedence: 1 }],
      httpOnlyCookieAttribute: true,
      appLauncherVisible: false,
    }),
    changed: (given) => ({ ...given, name: "operators", sessionDuration: "8h" }),
    importId: ({ id }) => `accounts/${accountId}/${id}`,
    // An import cannot tell what was given from what was filled in, and so says more.
    importsMore: [
      "destinations",
      "selfHostedDomains",
      "allowedIdps",
      "autoRedirectToIdentity",
      "enableBindingCookie",
      "optionsPreflightBypass",
    ],
  },
  {
    name: "PagesProject",
    given: () => ({
      accountId,
      name: "brand",
      productionBranch: "main",
      buildConfig: {
        buildCommand: "npm run build",
        destinationDir: "dist",
        rootDir: "/",
        buildCaching: true,
        webAnalyticsTag: "",
        webAnalyticsToken: "",
      },
      deploymentConfigs: {
        preview: {
          ...DEPLOYMENT,
          envVars: { API: { type: "plain_text", value: new Secret("https://test.honeydue.example") } },
        },
        production: { ...DEPLOYMENT, envVars: { KEY: { type: "secret_text", value: new Secret("sentinel-1") } } },
      },
    }),
    changed: (given) => ({ ...given, productionBranch: "trunk" }),
    importId: ({ id }) => `${accountId}/${id}`,
    importsLess: ["deploymentConfigs"],
  },
  {
    name: "PagesDomain",
    given: async () => ({ accountId, projectName: await projectName(), name: "www.honeydue.example" }),
    importId: ({ inputs }) => `${accountId}/${String(inputs["projectName"])}/www.honeydue.example`,
  },
];

const DEPLOYMENT = {
  alwaysUseLatestCompatibilityDate: false,
  buildImageMajorVersion: 3,
  compatibilityDate: "2026-01-01",
  compatibilityFlags: ["nodejs_compat"],
  failOpen: true,
  usageModel: "standard",
};

test("every type that is served has a life here", () => {
  expect(lives.map(({ name }) => token(name)).sort()).toEqual(RESOURCE_TYPES.map((type) => type.token).sort());
});

describe.each(lives)(
  "$name",
  ({ name, given, changed, importId, importsMore = [], importsLess = [], beforeDelete, stays }) => {
    test("is created, and then neither a refresh nor a preview shows a difference", async () => {
      await expectStill(await create(name, await given()));
    });

    if (changed !== undefined)
      test("is updated in place, and then stands still", async () => {
        const before = await create(name, await given());
        const after = await update(before, changed(before.inputs));
        expect(after.state).not.toEqual(before.state);
        await expectStill(after);
      });

    test("is imported with all that a program would say of it", async () => {
      const made = await create(name, await given());
      const imported = await provider.read({ ...call(made.type), id: importId(made), inputs: {}, state: {} });
      const without = (inputs: PropertyMap | undefined, names: readonly string[]) =>
        Object.fromEntries(Object.entries(inputs ?? {}).filter(([key]) => !names.includes(key)));
      expect(imported?.id).toBe(made.id);
      expect(without(imported?.inputs, [...importsMore, ...importsLess])).toEqual(without(made.inputs, importsLess));
      const asImported = { ...made, inputs: imported?.inputs ?? {}, state: imported?.state ?? {} };
      if (importsLess.length === 0) expect(await changes(asImported)).toBe("none");
    });

    test(
      stays
        ? "stays where it is when it is deleted: the API has no such call"
        : "is gone when it is deleted, and may be deleted again",
      async () => {
        const made = await create(name, await given());
        await beforeDelete?.();
        await remove(made);
        if (stays) {
          expect(await read(made)).toBeDefined();
          return;
        }
        expect(await read(made)).toBeUndefined();
        await expect(remove(made)).resolves.toBeUndefined();
      },
    );

    test("makes no call in a preview", async () => {
      const inputs = await checked(token(name), await given());
      emulator.journal.clear();
      await provider.create({ ...call(token(name)), inputs, timeoutSeconds: 0, preview: true });
      expect(emulator.journal.entries()).toEqual([]);
    });
  },
);

describe("what only some types do", () => {
  test("drift in a record is seen by a refresh and repaired by an update", async () => {
    const made = await create("DnsRecord", {
      zoneId,
      name: "api.honeydue.example",
      type: "A",
      content: "127.20.0.11",
      ttl: 1,
      proxied: true,
    });
    const record = emulator.state.zones[0]?.dnsRecords[0];
    if (record) record.content = "127.20.0.99";
    const now = await read(made);
    expect(now?.state["content"]).toBe("127.20.0.99");
    expect(now?.inputs["content"]).toBe("127.20.0.99");
    const repaired = await update({ ...made, state: now?.state ?? {} }, made.inputs);
    expect(repaired.state["content"]).toBe("127.20.0.11");
    await expectStill(repaired);
  });

  test("a comment that the program drops is removed", async () => {
    const made = await create("DnsRecord", {
      zoneId,
      name: "a.honeydue.example",
      type: "A",
      content: "203.0.113.9",
      ttl: 300,
      comment: "x",
    });
    const { comment: _, ...rest } = made.inputs;
    const after = await update(made, rest);
    expect(after.state).not.toHaveProperty("comment");
    await expectStill(after);
  });

  test("a certificate whose hostnames are not sorted wants to be replaced after a refresh, as with the real API", async () => {
    const made = await create("OriginCaCertificate", {
      csr: await csr(),
      hostnames: ["honeydue.example", "*.honeydue.example"],
      requestType: "origin-ecc",
      requestedValidity: 365,
    });
    const now = await read(made);
    const diff = await provider.diff({
      ...call(made.type),
      id: made.id,
      olds: now?.state ?? {},
      news: made.inputs,
      oldInputs: made.inputs,
      ignoreChanges: [],
    });
    expect(diff).toMatchObject({ changes: "some", replaces: ["hostnames"] });
  });

  test("the certificate is signed for the key and the names that were asked", async () => {
    const request = await csr("rsa");
    const made = await create("OriginCaCertificate", {
      csr: request,
      hostnames: ["honeydue.example"],
      requestType: "origin-rsa",
      requestedValidity: 90,
    });
    const certificate = new x509.X509Certificate(String(made.state["certificate"]));
    expect(Buffer.from(certificate.publicKey.rawData)).toEqual(
      Buffer.from(new x509.Pkcs10CertificateRequest(request).publicKey.rawData),
    );
    expect(certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON()).toEqual([
      { type: "dns", value: "honeydue.example" },
    ]);
    expect(Math.round((certificate.notAfter.getTime() - certificate.notBefore.getTime()) / 86_400_000)).toBe(90);
    expect(made.state["expiresOn"]).toBe(
      `${certificate.notAfter.toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`,
    );
  });

  test("a tunnel's secret stays secret in its state, and its token is secret too", async () => {
    const secret = Buffer.alloc(32, 7).toString("base64");
    const made = await create("ZeroTrustTunnelCloudflared", {
      accountId,
      name: "edge",
      configSrc: "cloudflare",
      tunnelSecret: new Secret(secret),
    });
    expect(made.state["tunnelSecret"]).toEqual(new Secret(secret));
    await expectStill(made);
    const answer = await provider.invoke?.(
      "cloudflare:index/getZeroTrustTunnelCloudflaredToken:getZeroTrustTunnelCloudflaredToken",
      { accountId, tunnelId: made.id },
    );
    const token = (answer as { result: PropertyMap }).result["token"];
    expect(token).toBeInstanceOf(Secret);
    expect(JSON.parse(Buffer.from(String((token as Secret).value), "base64").toString())).toEqual({
      a: accountId,
      t: made.id,
      s: secret,
    });
    expect(JSON.stringify(emulator.journal.entries())).not.toContain(secret);
  });

  test("an origin-pulls certificate is another one by its text, not by the line ends after it", async () => {
    const made = await create("AuthenticatedOriginPullsCertificate", { zoneId, ...(await clientPair()) });
    const diff = async (news: PropertyMap) => {
      const { changes, replaces = [] } = await provider.diff({
        ...call(made.type),
        id: made.id,
        olds: made.state,
        news: await checked(made.type, { ...made.inputs, ...news }),
        oldInputs: made.inputs,
        ignoreChanges: [],
      });
      return [changes, replaces];
    };
    expect(await diff({ certificate: `${String(made.inputs["certificate"]).trimEnd()}\n\n\n` })).toEqual(["none", []]);
    expect(await diff(await clientPair())).toEqual(["some", ["certificate"]]);
    expect(await diff({ zoneId: UNKNOWN })).toEqual(["some", ["zoneId"]]);
    await expect(
      update(made, { ...made.inputs, privateKey: (await clientPair())["privateKey"] ?? "" }),
    ).rejects.toThrow("cannot be updated, only replaced");
  });

  test("an origin-pulls certificate has all its outputs, its key stays secret, and a refresh sees it become active", async () => {
    const made = await create("AuthenticatedOriginPullsCertificate", { zoneId, ...(await clientPair()) });
    expect(made.state).toMatchObject({
      id: made.id,
      certificateId: made.id,
      status: "pending_deployment",
      issuer: "CN=honeydue",
      enabled: false,
      privateKey: expect.any(Secret),
    });
    emulator.state.zones[0]?.originPullCertificates.forEach((one) => (one.activeOn = one.uploadedOn));
    const now = await read(made);
    expect(now?.state["status"]).toBe("active");
    expect(now?.inputs).toEqual(made.inputs);
    expect(await changes({ ...made, state: now?.state ?? {} })).toBe("none");
  });

  test("origin pulls of hosts are one resource each, and tell of their own host alone", async () => {
    const first = await create("AuthenticatedOriginPulls", {
      zoneId,
      configs: [await hostnamePull("a.honeydue.example")],
    });
    const second = await create("AuthenticatedOriginPulls", {
      zoneId,
      configs: [await hostnamePull("b.honeydue.example")],
    });
    expect([first.id, second.id]).toEqual(["a.honeydue.example", "b.honeydue.example"]);
    expect(first.state["certId"]).not.toBe(second.state["certId"]);
    await remove(first);
    expect(emulator.state.zones[0]?.hostnamePulls.map(({ hostname }) => hostname)).toEqual(["b.honeydue.example"]);
    const both = [await hostnamePull("a.honeydue.example"), await hostnamePull("c.honeydue.example")];
    await expect(create("AuthenticatedOriginPulls", { zoneId, configs: both })).rejects.toThrow(
      "config must contain exactly one hostname association",
    );
  });

  test("a service token's secret is secret, survives a refresh and a new name, and turns with its version", async () => {
    const made = await create("ZeroTrustAccessServiceToken", { accountId, name: "ci" });
    const secretOf = ({ state }: Resource) => (state["clientSecret"] as Secret).value;
    expect(made.state["clientSecret"]).toBeInstanceOf(Secret);
    const renamed = await update(made, { ...made.inputs, name: "probe" });
    expect(secretOf(renamed)).toBe(secretOf(made));
    const turned = await update(renamed, {
      ...renamed.inputs,
      clientSecretVersion: 2,
      previousClientSecretExpiresAt: "2126-01-01T00:00:00Z",
    });
    expect(secretOf(turned)).toMatch(/^[0-9a-f]{64}$/);
    expect(secretOf(turned)).not.toBe(secretOf(made));
    await expectStill(turned);
  });

  test("DNSSEC that waits for the registrar differs after each refresh, and cannot be deleted while it signs", async () => {
    const made = await create("ZoneDnssec", { zoneId, status: "active" });
    expect(made.state).toMatchObject({ status: "active", ds: expect.stringContaining("IN DS") });
    const now = await read(made);
    expect(now?.state["status"]).toBe("pending");
    expect(await changes({ ...made, state: now?.state ?? {} })).toBe("some");
    await expect(remove(made)).rejects.toThrow("it is pending");
  });

  test("a tunnel with connectors cannot be deleted", async () => {
    const made = await create("ZeroTrustTunnelCloudflared", { accountId, name: "edge" });
    const [tunnel] = emulator.state.accounts[0]?.tunnels ?? [];
    if (tunnel) connectTunnel(tunnel, new Date());
    await expect(remove(made)).rejects.toThrow("Cannot delete tunnel because it has active connections");
  });
});

describe("functions", () => {
  test("getZone finds a zone by name and by id", async () => {
    const byName = await provider.invoke?.("cloudflare:index/getZone:getZone", {
      filter: { name: "honeydue.example" },
    });
    const byId = await provider.invoke?.("cloudflare:index/getZone:getZone", { zoneId });
    expect(byName).toMatchObject({
      result: {
        zoneId,
        name: "honeydue.example",
        account: { id: accountId },
        status: "active",
        plan: { legacyId: "pro" },
      },
    });
    expect(byId).toMatchObject({ result: { zoneId, name: "honeydue.example" } });
  });

  test("getZone says so when no zone has the name", async () => {
    await expect(
      provider.invoke?.("cloudflare:index/getZone:getZone", { filter: { name: "other.example" } }),
    ).rejects.toThrow("found 0 zones with name=other.example");
  });

  test("getIpRanges gives the published ranges", async () => {
    const answer = (await provider.invoke?.("cloudflare:index/getIpRanges:getIpRanges", {})) as { result: PropertyMap };
    expect(answer.result["ipv4Cidrs"]).toHaveLength(15);
    expect(answer.result["ipv6Cidrs"]).toHaveLength(7);
  });
});

describe("a call that goes wrong", () => {
  const record = () => ({
    zoneId,
    name: "api.honeydue.example",
    type: "A",
    content: "127.20.0.11",
    ttl: 1,
    proxied: true,
  });

  test("is tried again when the connection was lost before it had an effect", async () => {
    emulator.faults.add({ effect: "drop-before", times: 2 });
    await expectStill(await create("DnsRecord", record()));
  });

  test("ends with 81058 when a record was created and the answer was lost: the record is there, and nobody knows its id", async () => {
    emulator.faults.add({ effect: "drop-after" });
    await expect(create("DnsRecord", record())).rejects.toThrow(
      /failed to make http request: POST ".*\/dns_records": 400 Bad Request .*81058/,
    );
    expect(emulator.state.zones[0]?.dnsRecords).toHaveLength(1);
  });

  test("leaves two certificates when the answer to the first was lost", async () => {
    emulator.faults.add({ effect: "drop-after" });
    const made = await create("OriginCaCertificate", {
      csr: await csr(),
      hostnames: ["honeydue.example"],
      requestType: "origin-ecc",
      requestedValidity: 365,
    });
    expect(emulator.state.certificates).toHaveLength(2);
    expect(emulator.state.certificates[1]?.id).toBe(made.id);
  });

  test.each(["ZoneSetting", "ZeroTrustTunnelCloudflaredConfig", "AuthenticatedOriginPullsSettings"])(
    "comes to the same when the answer was lost: %s",
    async (name) => {
      const life = lives.find((each) => each.name === name);
      const given = (await life?.given()) ?? {};
      emulator.faults.add({ effect: "drop-after" });
      await expectStill(await create(name, given));
    },
  );

  test("ends with 1013 after all retries when a tunnel was created and the answer was lost", async () => {
    emulator.faults.add({ effect: "drop-after" });
    await expect(create("ZeroTrustTunnelCloudflared", { accountId, name: "edge" })).rejects.toThrow(
      /409 Conflict .*1013/,
    );
    expect(emulator.journal.entries()).toHaveLength(4);
  });

  test("counts as done when a delete's answer was lost", async () => {
    const made = await create("DnsRecord", record());
    emulator.faults.add({ effect: "drop-after" });
    await expect(remove(made)).resolves.toBeUndefined();
    expect(emulator.state.zones[0]?.dnsRecords).toEqual([]);
  });

  test("names call, status and the API's words, never the token", async () => {
    const failed = await create("DnsRecord", { ...record(), content: "127.0.0.1" }).catch((error: unknown) =>
      String(error),
    );
    expect(failed).toContain("Target 127.0.0.1 is not allowed for a proxied record.");
    expect(failed).not.toContain(TOKEN);
  });
});
