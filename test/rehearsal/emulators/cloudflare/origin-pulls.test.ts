import "reflect-metadata";
import { webcrypto, X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { shownToOrigins } from "../../../../rehearsal/emulators/cloudflare";
import { type Api, startApi } from "./api-client";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
let now = new Date("2026-11-21T12:00:00Z");
let api: Api;
let base: string;
const later = (seconds: number): void => {
  now = new Date(now.getTime() + seconds * 1000);
};

beforeAll(() => x509.cryptoProvider.set(webcrypto));
beforeEach(async () => {
  api = await startApi({ now: () => now, edgeDeploymentSeconds: 60 });
  base = `/zones/${api.zoneId}/origin_tls_client_auth`;
});
afterEach(() => api.close());

async function pair(name = "CN=honeydue, O=Trivet"): Promise<{ certificate: string; private_key: string }> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "0102",
    name,
    notBefore: new Date("2026-11-21T00:00:00Z"),
    notAfter: new Date("2027-11-21T00:00:00Z"),
    keys,
    signingAlgorithm: ALGORITHM,
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return {
    certificate: certificate.toString("pem"),
    private_key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
  };
}
const upload = async (given?: { certificate: string; private_key: string }) =>
  (await api.call("POST", base, given ?? (await pair()))).result;
const shown = () => {
  const [zone] = api.emulator.state.zones;
  return zone && shownToOrigins(zone, now);
};

test("a certificate tells what stands in it, but never its key", async () => {
  const given = await pair();
  const result = await upload(given);
  expect(result).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    certificate: given.certificate,
    issuer: "O=Trivet,CN=honeydue",
    signature: "ECDSAWithSHA256",
    serial_number: "258",
    expires_on: "2027-11-21T00:00:00.000Z",
    status: "pending_deployment",
    uploaded_on: "2026-11-21T12:00:00.000000Z",
    enabled: false,
  });
  expect((await api.call("GET", `${base}/${result.id}`)).result).toEqual(result);
  expect((await api.call("GET", base)).result).toEqual([result]);
  expect(JSON.stringify(api.emulator.journal.entries())).not.toContain("PRIVATE KEY");
});

test("it is active once the edge has rolled it out, and can be read until the edge has dropped it", async () => {
  const { id } = await upload();
  const status = async () => (await api.call("GET", `${base}/${id}`)).result?.status;
  later(59);
  expect(await status()).toBe("pending_deployment");
  later(1);
  expect(await status()).toBe("active");
  expect((await api.call("DELETE", `${base}/${id}`)).result.status).toBe("pending_deletion");
  expect(await status()).toBe("pending_deletion");
  later(60);
  expect((await api.refusal("GET", `${base}/${id}`)).status).toBe(404);
  expect((await api.refusal("DELETE", `${base}/${id}`)).status).toBe(404);
});

test("the edge shows nothing, then Cloudflare's own, then the zone's newest one that is active", async () => {
  expect(shown()).toBeUndefined();
  await api.call("PUT", `${base}/settings`, { enabled: true });
  expect(shown()).toBe("shared");
  const first = await upload();
  expect(shown()).toBe("shared");
  later(60);
  expect(shown()).toMatchObject({ id: first.id });
  const second = await upload();
  expect(shown()).toMatchObject({ id: first.id });
  later(60);
  expect(shown()).toMatchObject({ id: second.id });
  // Both say that they are active; only the newest is shown.
  expect((await api.call("GET", `${base}/${first.id}`)).result.status).toBe("active");
  await api.call("DELETE", `${base}/${second.id}`);
  expect(shown()).toMatchObject({ id: first.id });
});

test("what the front door shows is the pair that was uploaded", async () => {
  const given = await pair();
  await upload(given);
  await api.call("PUT", `${base}/settings`, { enabled: true });
  later(60);
  expect(shown()).toMatchObject({ certificate: given.certificate, privateKey: given.private_key });
});

describe("for one host", () => {
  const hostnames = () => `${base}/hostnames`;
  const uploadForHost = async () => (await api.call("POST", `${hostnames()}/certificates`, await pair())).result;
  const shownFor = (hostname: string) => {
    const [zone] = api.emulator.state.zones;
    const certificate = zone && shownToOrigins(zone, now, hostname);
    return typeof certificate === "object" ? certificate.id : certificate;
  };

  test("a certificate of its own goes before the zone's, once it is active and for as long as it is wanted", async () => {
    const { id } = await uploadForHost();
    const config = [{ hostname: "api.honeydue.example", cert_id: id, enabled: true }];
    const { result } = await api.call("PUT", hostnames(), { config });
    expect(result).toMatchObject([
      { hostname: "api.honeydue.example", cert_id: id, cert_status: "pending_deployment" },
    ]);
    expect(shownFor("api.honeydue.example")).toBeUndefined();
    later(60);
    expect([shownFor("api.honeydue.example"), shownFor("www.honeydue.example")]).toEqual([id, undefined]);
    const zones = await upload();
    await api.call("PUT", `${base}/settings`, { enabled: true });
    later(60);
    expect([shownFor("api.honeydue.example"), shownFor("www.honeydue.example")]).toEqual([id, zones.id]);
    expect((await api.refusal("DELETE", `${hostnames()}/certificates/${id}`)).status).toBe(400);
    await api.call("PUT", hostnames(), { config: [{ ...config[0], enabled: null }] });
    expect(shownFor("api.honeydue.example")).toBe(zones.id);
    expect((await api.refusal("GET", `${hostnames()}/api.honeydue.example`)).status).toBe(404);
    expect((await api.call("DELETE", `${hostnames()}/certificates/${id}`)).result.status).toBe("pending_deletion");
  });

  test("neither another zone's host nor a certificate of the zone is taken", async () => {
    const [{ id }, zones] = [await uploadForHost(), await upload()];
    const put = (hostname: string, cert_id: string) =>
      api.refusal("PUT", hostnames(), { config: [{ hostname, cert_id, enabled: true }] });
    expect((await put("api.other.example", id)).status).toBe(400);
    expect((await put("api.honeydue.example", zones.id)).status).toBe(400);
  });
});

describe("is refused", () => {
  test("the same certificate twice, until the first is deleted", async () => {
    const given = await pair();
    const { id } = await upload(given);
    expect(await api.refusal("POST", base, given)).toEqual({
      status: 400,
      codes: [1406],
      message: "This certificate already exists for this zone.",
    });
    await api.call("DELETE", `${base}/${id}`);
    expect((await api.call("POST", base, given)).status).toBe(200);
  });

  test("a key that belongs to another certificate", async () => {
    const [one, other] = [await pair(), await pair()];
    expect(
      (await api.refusal("POST", base, { certificate: one.certificate, private_key: other.private_key })).codes,
    ).toEqual([2200]);
  });

  test.each([
    ["no certificate", "certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 1002],
    ["no key", "private_key", "hello", 2106],
    ["an empty certificate", "certificate", "", 1400],
  ])("%s", async (_, field, value, code) => {
    expect((await api.refusal("POST", base, { ...(await pair()), [field]: value })).codes).toEqual([code]);
  });
});

test("the end of a certificate is that of its text", async () => {
  const given = await pair();
  const { expires_on } = await upload(given);
  expect(new Date(expires_on)).toEqual(new X509Certificate(given.certificate).validToDate);
});
