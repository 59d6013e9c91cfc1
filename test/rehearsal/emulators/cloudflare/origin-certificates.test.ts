import "reflect-metadata";
import { X509Certificate } from "node:crypto";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { type Api, startApi } from "./api-client";

let api: Api;
let csr: string;
beforeAll(async () => {
  x509.cryptoProvider.set(webcrypto);
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  csr = (
    await x509.Pkcs10CertificateRequestGenerator.create({ name: "CN=x", keys, signingAlgorithm: algorithm })
  ).toString("pem");
});
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.close());

const asked = () => ({
  csr,
  hostnames: ["honeydue.example", "*.honeydue.example"],
  request_type: "origin-ecc",
  requested_validity: 365,
});

test("a certificate is signed by the emulator's own root for the key, the names and the days that were asked", async () => {
  const { result } = await api.call("POST", "/certificates", asked());
  const certificate = new X509Certificate(result.certificate);
  const root = new X509Certificate(api.emulator.state.originCa.ecc?.certificatePem ?? "");
  expect(certificate.verify(root.publicKey)).toBe(true);
  expect(certificate.checkIssued(root)).toBe(true);
  expect(certificate.checkHost("api.honeydue.example")).toBe("*.honeydue.example");
  expect(certificate.checkHost("honeydue.example")).toBe("honeydue.example");
  expect(certificate.validToDate.getTime() - certificate.validFromDate.getTime()).toBe(365 * 24 * 60 * 60 * 1000);
  expect(result.id).toBe(BigInt(`0x${certificate.serialNumber}`).toString());
  expect(result.expires_on).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC$/);
});

test("the names come back sorted, as the real API gives them", async () => {
  expect((await api.call("POST", "/certificates", asked())).result.hostnames).toEqual([
    "*.honeydue.example",
    "honeydue.example",
  ]);
});

test("a certificate is read until it is revoked, and listed for its zone", async () => {
  const { result } = await api.call("POST", "/certificates", asked());
  expect((await api.call("GET", `/certificates/${result.id}`)).result).toEqual(result);
  expect((await api.call("GET", `/certificates?zone_id=${api.zoneId}`)).result).toHaveLength(1);
  expect((await api.call("DELETE", `/certificates/${result.id}`)).result).toMatchObject({ id: result.id });
  expect((await api.refusal("GET", `/certificates/${result.id}`)).status).toBe(404);
  expect((await api.refusal("DELETE", `/certificates/${result.id}`)).status).toBe(404);
  expect((await api.call("GET", `/certificates?zone_id=${api.zoneId}`)).result).toEqual([]);
});

test("one root signs all certificates of a kind, also in a new emulator with the old state", async () => {
  await api.call("POST", "/certificates", asked());
  const root = api.emulator.state.originCa.ecc?.certificatePem;
  await api.close();
  api = await startApi({ state: JSON.parse(JSON.stringify(api.emulator.state)) });
  const { result } = await api.call("POST", "/certificates", asked());
  expect(new X509Certificate(result.certificate).verify(new X509Certificate(root ?? "").publicKey)).toBe(true);
});

test.each([
  ["a name of no zone here", { hostnames: ["api.other.example"] }, 1010],
  ["a wildcard that is not the first label", { hostnames: ["a.*.honeydue.example"] }, 1010],
  ["days that cannot be had", { requested_validity: 100 }, 1008],
  ["a CSR that is none", { csr: "hello" }, 1201],
  ["another kind of key than asked", { request_type: "origin-rsa" }, 1202],
  ["no names", { hostnames: [] }, 1000],
  ["a kind that is none", { request_type: "banana" }, 1000],
])("%s is refused", async (_, change, code) => {
  expect(await api.refusal("POST", "/certificates", { ...asked(), ...change })).toMatchObject({
    status: 400,
    codes: [code],
  });
});

test("the journal does not show the CSR", async () => {
  await api.call("POST", "/certificates", asked());
  expect(api.emulator.journal.entries()[0]?.requestBody).toMatchObject({
    csr: "[redacted]",
    request_type: "origin-ecc",
  });
});
