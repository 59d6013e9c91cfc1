import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import {
  type CloudflareEmulatorOptions,
  type Permission,
  PERMISSION_GROUPS,
  type PermissionArea,
} from "../../../../rehearsal/emulators/cloudflare";
import { type Api, startApi, TOKEN } from "./api-client";

const ZONES = [{ name: "honeydue.example" }, { name: "other.example", account: "Somebody" }];
const ACCOUNTS = [{ name: "Trivet" }, { name: "Somebody" }];
const AREAS = Object.keys(PERMISSION_GROUPS) as PermissionArea[];

let api: Api | undefined;
const start = async (token: { permissions?: readonly Permission[]; zones?: string[] } = {}) =>
  (api = await startApi({ accounts: ACCOUNTS, zones: ZONES, tokens: [{ value: TOKEN, ...token }] }));
afterEach(() => api?.close());

const phase = (name: string) => ({
  read: `/zones/ZONE/rulesets/phases/${name}/entrypoint`,
  write: ["PUT", `/zones/ZONE/rulesets/phases/${name}/entrypoint`, { rules: [] }] as const,
});

/** One call of each area that reads, and one that changes something. A zone itself is changed by nobody here. */
const CALLS: Record<PermissionArea, { read: string; write?: readonly [string, string, object?] }> = {
  zone: { read: "/zones/ZONE" },
  "zone-settings": { read: "/zones/ZONE/settings", write: ["PATCH", "/zones/ZONE/settings/ssl", { value: "strict" }] },
  dns: { read: "/zones/ZONE/dnssec", write: ["PATCH", "/zones/ZONE/dnssec", { status: "active" }] },
  ssl: {
    read: "/zones/ZONE/origin_tls_client_auth",
    write: ["PUT", "/zones/ZONE/origin_tls_client_auth/settings", { enabled: true }],
  },
  "cache-settings": phase("http_request_cache_settings"),
  redirects: phase("http_request_dynamic_redirect"),
  waf: phase("http_ratelimit"),
  "config-settings": phase("http_config_settings"),
  "transform-rules": phase("http_response_headers_transform"),
  "origin-rules": phase("http_request_origin"),
  "custom-errors": phase("http_custom_errors"),
  compression: phase("http_response_compression"),
  ddos: phase("ddos_l7"),
  bots: phase("http_request_sbfm"),
  sanitize: phase("http_request_sanitize"),
  logs: phase("http_log_custom_fields"),
  "account-rulesets": {
    read: "/accounts/ACCOUNT/rulesets",
    write: ["PUT", "/accounts/ACCOUNT/rulesets/phases/http_request_firewall_custom/entrypoint", { rules: [] }],
  },
  tunnel: { read: "/accounts/ACCOUNT/cfd_tunnel", write: ["POST", "/accounts/ACCOUNT/cfd_tunnel", { name: "edge" }] },
  access: {
    read: "/accounts/ACCOUNT/access/apps",
    write: ["POST", "/accounts/ACCOUNT/access/policies", { name: "x", decision: "deny" }],
  },
  "access-organizations": { read: "/accounts/ACCOUNT/access/organizations" },
  "service-tokens": {
    read: "/accounts/ACCOUNT/access/service_tokens",
    write: ["POST", "/accounts/ACCOUNT/access/service_tokens", { name: "x" }],
  },
  pages: {
    read: "/accounts/ACCOUNT/pages/projects",
    write: ["POST", "/accounts/ACCOUNT/pages/projects", { name: "brand" }],
  },
};

async function outcome({ zoneId, accountId, call }: Api, [method, path, body]: readonly [string, string, object?]) {
  const { status } = await call(method, path.replace("ZONE", zoneId).replace("ACCOUNT", accountId), body);
  // A phase without rules is not there, but whether it is may be asked.
  return status === 404 ? 200 : status;
}

describe.each(AREAS)("%s", (area) => {
  const { read, write } = CALLS[area];

  test("its right to read lets read and not change, and nothing else lets read", async () => {
    const reader = await start({ permissions: [`${area}:read`] });
    expect(await outcome(reader, ["GET", read])).toBe(200);
    if (write) expect(await outcome(reader, write)).toBe(403);
    await reader.close();
    const others = AREAS.filter((one) => one !== area).map((one): Permission => `${one}:edit`);
    expect(await outcome(await start({ permissions: others }), ["GET", read])).toBe(403);
  });

  test("its right to edit lets change and read, and nothing else lets change", async () => {
    const editor = await start({ permissions: [`${area}:edit`] });
    expect(await outcome(editor, ["GET", read])).toBe(200);
    if (write) expect(await outcome(editor, write)).toBe(200);
    await editor.close();
    const others = AREAS.filter((one) => one !== area).map((one): Permission => `${one}:edit`);
    const without = await start({ permissions: others });
    if (write) expect(await outcome(without, write)).toBe(403);
  });
});

test("what was needed is remembered, what was refused is explained in a header", async () => {
  const { call, emulator, zoneId, accountId } = await start({ permissions: ["dns:edit", "cache-settings:edit"] });
  await call("GET", `/zones/${zoneId}/dns_records`);
  await call("PUT", `/zones/${zoneId}/rulesets/phases/http_request_cache_settings/entrypoint`, { rules: [] });
  const refused = await call("POST", `/accounts/${accountId}/cfd_tunnel`, { name: "edge" });
  expect(refused.headers.get("x-rehearsal-reason")).toBe("the token lacks tunnel:edit");
  const phase = await call("GET", `/zones/${zoneId}/rulesets/phases/http_ratelimit/entrypoint`);
  expect(phase.headers.get("x-rehearsal-reason")).toBe("the token lacks waf:read");
  expect([...emulator.permissionsUsed].sort()).toEqual(["cache-settings:edit", "dns:read"]);
});

describe("rulesets", () => {
  const cache = { name: "default", kind: "zone", phase: "http_request_cache_settings", rules: [] };

  test("are refused without a code, as the real engine does it", async () => {
    const { refusal, zoneId } = await start({ permissions: ["redirects:edit"] });
    expect(await refusal("POST", `/zones/${zoneId}/rulesets`, cache)).toEqual({
      status: 403,
      codes: [undefined],
      message: "request is not authorized",
    });
  });

  test("one that is there needs the permission of its phase to be read, changed and deleted", async () => {
    const { call, refusal, emulator, zoneId } = await start();
    const base = `/zones/${zoneId}/rulesets`;
    const { result } = await call("POST", base, cache);
    Object.assign(emulator.state.tokens[0] ?? {}, { permissions: ["waf:edit"] });
    expect((await call("GET", base)).status).toBe(200);
    for (const [method, body] of [["GET"], ["PUT", cache], ["DELETE"]] as const)
      expect((await refusal(method, `${base}/${result.id}`, body)).status).toBe(403);
    Object.assign(emulator.state.tokens[0] ?? {}, { permissions: ["cache-settings:edit"] });
    expect((await call("PUT", `${base}/${result.id}`, cache)).status).toBe(200);
    expect((await call("DELETE", `${base}/${result.id}`)).status).toBe(204);
  });
});

describe("a token of one zone", () => {
  const two = async () => {
    const world = await start({ zones: ["honeydue.example"] });
    const [own, foreign] = world.emulator.state.zones;
    if (!own || !foreign) throw new Error("two zones are expected");
    return { ...world, own, foreign };
  };

  test("does not see another one, neither in the list nor by its id", async () => {
    const { call, refusal, own, foreign } = await two();
    expect((await call("GET", "/zones")).result.map(({ name }: { name: string }) => name)).toEqual([own.name]);
    expect((await call("GET", `/zones/${own.id}`)).status).toBe(200);
    expect(await refusal("GET", `/zones/${foreign.id}`)).toEqual({
      status: 403,
      codes: [9109],
      message: "Unauthorized to access requested resource",
    });
    expect((await refusal("GET", `/zones/${foreign.id}/dns_records`)).codes).toEqual([10000]);
    expect((await refusal("GET", `/zones/${foreign.id}/rulesets`)).status).toBe(403);
    expect(foreign.dnsRecords).toEqual([]);
  });

  test("sees the account that owns its zone and no other", async () => {
    const { call, refusal, own, foreign } = await two();
    expect((await call("GET", `/accounts/${own.accountId}/cfd_tunnel`)).status).toBe(200);
    expect((await refusal("GET", `/accounts/${foreign.accountId}/cfd_tunnel`)).status).toBe(403);
  });

  test("gets no certificate for another one's names, and does not see it either", async () => {
    const { call, refusal, emulator, own, foreign } = await two();
    x509.cryptoProvider.set(webcrypto);
    const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const made = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm });
    const asked = (name: string) => ({ csr: made.toString("pem"), hostnames: [name], request_type: "origin-ecc" });
    expect((await call("POST", "/certificates", asked(own.name))).status).toBe(200);
    expect((await refusal("POST", "/certificates", asked(foreign.name))).codes).toEqual([1010]);
    const [token] = emulator.state.tokens;
    if (token) token.zones = "all";
    const { result } = await call("POST", "/certificates", asked(foreign.name));
    if (token) token.zones = [own.id];
    expect((await refusal("GET", `/certificates/${result.id}`)).status).toBe(404);
    expect((await refusal("DELETE", `/certificates/${result.id}`)).status).toBe(404);
    expect((await refusal("GET", `/certificates?zone_id=${foreign.id}`)).status).toBe(400);
  });
});

/** What all phases shared before each had its own. */
const OLD_NAME: unknown = "rulesets:edit";

test.each<[string, CloudflareEmulatorOptions["tokens"], string]>([
  ["a zone", [{ value: TOKEN, zones: ["nowhere.example"] }], "there are: honeydue.example, other.example"],
  ["a permission", [{ value: TOKEN, permissions: [OLD_NAME as Permission] }], 'there is no "rulesets:edit"'],
])("%s that is not there is named when a token is made", async (_, tokens, message) => {
  await expect(startApi({ accounts: ACCOUNTS, zones: ZONES, tokens: tokens ?? [] })).rejects.toThrow(message);
});
