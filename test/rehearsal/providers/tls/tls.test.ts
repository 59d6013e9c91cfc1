import { createHash, createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { CertificationRequest } from "@peculiar/asn1-csr";
import * as x509 from "@peculiar/asn1-x509";
import { type PropertyMap, Secret, UNKNOWN } from "../../../../rehearsal/providers/protocol/provider";
import { withoutSecrets } from "../../../../rehearsal/providers/protocol/values";
import { createTlsProvider } from "../../../../rehearsal/providers/tls";
import { connect, type ProviderClient } from "../protocol/provider-client";

const KEY = { type: "tls:index/privateKey:PrivateKey" };
const REQUEST = { type: "tls:index/certRequest:CertRequest" };
const SELF_SIGNED = { type: "tls:index/selfSignedCert:SelfSignedCert" };
const LOCALLY_SIGNED = { type: "tls:index/locallySignedCert:LocallySignedCert" };

const HOUR = 3_600_000;
const START = new Date("2026-11-21T10:00:00.500Z");
let now = START;
let client: ProviderClient;

beforeAll(async () => {
  client = await connect(createTlsProvider({ now: () => now }));
  await client.configure();
});
beforeEach(() => {
  now = START;
});
afterAll(() => client.close());

type Made = { id: string; state: Record<string, string> & PropertyMap };

const make = async (resource: { type: string }, inputs: PropertyMap): Promise<Made> => {
  const { id, state } = await client.create(resource, inputs);
  return { id, state: withoutSecrets(state) as Made["state"] };
};

const key = async (algorithm = "ECDSA", more: PropertyMap = { ecdsaCurve: "P256" }): Promise<Made["state"]> =>
  (await make(KEY, { algorithm, ...more })).state;

/** The authority that the tests sign with, made once: keys cost time. */
const authority = (() => {
  let made: Promise<{ privateKeyPem: string; certPem: string }> | undefined;
  const create = async () => {
    const { privateKeyPem } = await key();
    const { state } = await make(SELF_SIGNED, {
      privateKeyPem: privateKeyPem!,
      subject: { commonName: "root", organization: "Träger" },
      isCaCertificate: true,
      validityPeriodHours: 87_600,
      allowedUses: ["cert_signing", "crl_signing", "digital_signature"],
    });
    return { privateKeyPem: privateKeyPem!, certPem: state["certPem"]! };
  };
  return () => (made ??= create());
})();

const signed = async (request: PropertyMap, terms: PropertyMap = {}, algorithm = "ECDSA", keyOptions?: PropertyMap) => {
  const ca = await authority();
  const own = await key(algorithm, keyOptions);
  const { state } = await make(REQUEST, { privateKeyPem: own["privateKeyPem"]!, ...request });
  const leaf = await make(LOCALLY_SIGNED, {
    certRequestPem: state["certRequestPem"]!,
    caCertPem: ca.certPem,
    caPrivateKeyPem: ca.privateKeyPem,
    validityPeriodHours: 24,
    allowedUses: ["server_auth", "client_auth", "digital_signature", "key_encipherment"],
    ...terms,
  });
  return {
    ...leaf,
    ca: new X509Certificate(ca.certPem),
    certificate: new X509Certificate(leaf.state["certPem"]!),
    own,
  };
};

/** Extension identifier to whether it is critical, in the order of the certificate. */
const extensionsOf = (certificate: X509Certificate): [string, boolean][] =>
  [...(AsnConvert.parse(certificate.raw, x509.Certificate).tbsCertificate.extensions ?? [])].map(
    ({ extnID, critical }) => [extnID, critical],
  );

const valueOf = <Type>(certificate: X509Certificate, id: string, type: new () => Type): Type => {
  const extension = AsnConvert.parse(certificate.raw, x509.Certificate).tbsCertificate.extensions?.find(
    ({ extnID }) => extnID === id,
  );
  return AsnConvert.parse(extension!.extnValue.buffer, type);
};

const hex = (buffer: ArrayBuffer | undefined): string => Buffer.from(buffer ?? new ArrayBuffer(0)).toString("hex");

describe("PrivateKey", () => {
  test.each<[string, { rsaBits?: number; ecdsaCurve?: string }, string, string]>([
    ["RSA", {}, "RSA PRIVATE KEY", "rsa"],
    ["RSA", { rsaBits: 3072 }, "RSA PRIVATE KEY", "rsa"],
    ["ECDSA", { ecdsaCurve: "P256" }, "EC PRIVATE KEY", "ec"],
    ["ECDSA", { ecdsaCurve: "P384" }, "EC PRIVATE KEY", "ec"],
    ["ECDSA", { ecdsaCurve: "P521" }, "EC PRIVATE KEY", "ec"],
    ["ECDSA", {}, "EC PRIVATE KEY", "ec"],
    ["ED25519", {}, "PRIVATE KEY", "ed25519"],
  ])("of %s %j is PEM of type %s", async (algorithm, options, label, type) => {
    const { id, state } = await make(KEY, { algorithm, ...options });
    expect(state["privateKeyPem"]).toMatch(new RegExp(`^-----BEGIN ${label}-----\n[^]+\n-----END ${label}-----\n$`));
    expect(state["privateKeyPemPkcs8"]).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    const [own, pkcs8] = [createPrivateKey(state["privateKeyPem"]!), createPrivateKey(state["privateKeyPemPkcs8"]!)];
    expect(own.equals(pkcs8)).toBe(true);
    expect(own.asymmetricKeyType).toBe(type);
    expect(createPublicKey(own).export({ format: "pem", type: "spki" })).toBe(state["publicKeyPem"]);
    const der = createPublicKey(own).export({ format: "der", type: "spki" });
    expect(id).toBe(createHash("sha1").update(der).digest("hex"));
    expect(state).toMatchObject({ rsaBits: options.rsaBits ?? 2048, ecdsaCurve: options.ecdsaCurve ?? "P224" });
    expect(own.asymmetricKeyDetails?.modulusLength).toBe(algorithm === "RSA" ? (options.rsaBits ?? 2048) : undefined);
  });

  test("keeps its private forms secret and its public ones not, in previews as well", async () => {
    const { state } = await client.create(KEY, { algorithm: "ED25519" });
    const secrets = (from: PropertyMap) =>
      Object.keys(from)
        .filter((name) => from[name] instanceof Secret)
        .sort();
    expect(secrets(state)).toEqual(["privateKeyOpenssh", "privateKeyPem", "privateKeyPemPkcs8"]);
    const preview = await client.create(KEY, { algorithm: "ED25519" }, { preview: true });
    expect(secrets(preview.state)).toEqual(secrets(state));
    expect(preview.state).toMatchObject({ publicKeyPem: UNKNOWN, privateKeyPem: new Secret(UNKNOWN), rsaBits: 2048 });
  });

  test.each([
    ["RSA", {}, "ssh-rsa"],
    ["ECDSA", { ecdsaCurve: "P256" }, "ecdsa-sha2-nistp256"],
    ["ECDSA", { ecdsaCurve: "P384" }, "ecdsa-sha2-nistp384"],
    ["ECDSA", { ecdsaCurve: "P521" }, "ecdsa-sha2-nistp521"],
    ["ED25519", {}, "ssh-ed25519"],
  ])("of %s %j has OpenSSH forms that agree with one another", async (algorithm, options, type) => {
    const state = await key(algorithm, options);
    const [kind, blob, ...rest] = state["publicKeyOpenssh"]!.split(/[ \n]/);
    expect([kind, rest]).toEqual([type, [""]]);
    const bytes = Buffer.from(blob!, "base64");
    const digest = (hash: string) => createHash(hash).update(bytes);
    expect(state["publicKeyFingerprintSha256"]).toBe(`SHA256:${digest("sha256").digest("base64").replace("=", "")}`);
    expect(state["publicKeyFingerprintMd5"]).toMatch(/^([0-9a-f]{2}:){15}[0-9a-f]{2}$/);
    expect(state["publicKeyFingerprintMd5"]!.replaceAll(":", "")).toBe(digest("md5").digest("hex"));
    const file = state["privateKeyOpenssh"]!;
    expect(file).toMatch(
      /^-----BEGIN OPENSSH PRIVATE KEY-----\n([A-Za-z0-9+/=]{1,64}\n)+-----END OPENSSH PRIVATE KEY-----\n$/,
    );
    const decoded = Buffer.from(file.split("\n").slice(1, -2).join(""), "base64");
    expect(decoded.subarray(0, 15).toString()).toBe("openssh-key-v1\0");
    expect(decoded.includes(bytes)).toBe(true);
  });

  test("of P224 has no OpenSSH form: OpenSSH does not know the curve", async () => {
    expect(await key("ECDSA", {})).toMatchObject({
      publicKeyOpenssh: "",
      publicKeyFingerprintMd5: "",
      publicKeyFingerprintSha256: "",
      privateKeyOpenssh: "",
    });
  });

  test("is replaced by any change, and by none where a default is written out", async () => {
    const inputs = { algorithm: "ECDSA", ecdsaCurve: "P256" };
    const { state } = await client.create(KEY, inputs);
    const diff = (news: PropertyMap) => client.diff(KEY, { olds: state, news, oldInputs: inputs });
    expect(await diff({ ...inputs, rsaBits: 2048 })).toMatchObject({ changes: "none" });
    expect(await diff({ ...inputs, ecdsaCurve: "P384" })).toMatchObject({ changes: "some", replaces: ["ecdsaCurve"] });
    expect(await diff({ algorithm: "RSA" })).toMatchObject({ replaces: ["algorithm", "ecdsaCurve"] });
  });

  test("cannot be imported", async () => {
    await expect(client.read(KEY, "some-id")).rejects.toThrow("Resource Import Not Implemented");
  });
});

describe("a self-signed authority", () => {
  test("says CA, its uses, and its key's identifier", async () => {
    const certificate = new X509Certificate((await authority()).certPem);
    expect(certificate.ca).toBe(true);
    expect(certificate.subject).toBe("O=Träger\nCN=root");
    expect(certificate.issuer).toBe(certificate.subject);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(extensionsOf(certificate)).toEqual([
      ["2.5.29.15", true], // key usage
      ["2.5.29.19", true], // basic constraints
      ["2.5.29.14", false], // subject key identifier
    ]);
    expect(valueOf(certificate, "2.5.29.15", x509.KeyUsage).toJSON().sort()).toEqual([
      "crlSign",
      "digitalSignature",
      "keyCertSign",
    ]);
    expect(valueOf(certificate, "2.5.29.19", x509.BasicConstraints)).toMatchObject({ cA: true });
    expect(valueOf(certificate, "2.5.29.19", x509.BasicConstraints).pathLenConstraint).toBeUndefined();
  });

  test("names its own key as the authority's when asked, which needs the subject's", async () => {
    const { privateKeyPem } = await key();
    const inputs = { privateKeyPem: privateKeyPem!, allowedUses: [], validityPeriodHours: 1, setAuthorityKeyId: true };
    const { state } = await make(SELF_SIGNED, { ...inputs, setSubjectKeyId: true });
    const certificate = new X509Certificate(state["certPem"]!);
    const own = valueOf(certificate, "2.5.29.14", x509.SubjectKeyIdentifier).buffer;
    expect(hex(valueOf(certificate, "2.5.29.35", x509.AuthorityKeyIdentifier).keyIdentifier?.buffer)).toBe(hex(own));
    await expect(make(SELF_SIGNED, inputs)).rejects.toThrow("Set setSubjectKeyId, too");
  });

  test("needs a subject", async () => {
    const { privateKeyPem } = await key();
    await expect(
      make(SELF_SIGNED, {
        privateKeyPem: privateKeyPem!,
        isCaCertificate: true,
        allowedUses: [],
        validityPeriodHours: 1,
      }),
    ).rejects.toThrow("Must contain at least one Distinguished Name");
  });

  test("can limit the chain below it, also to nothing", async () => {
    const { certificate } = await signed({ subject: { commonName: "i" } }, { isCaCertificate: true, maxPathLength: 0 });
    expect(valueOf(certificate, "2.5.29.19", x509.BasicConstraints)).toMatchObject({ cA: true, pathLenConstraint: 0 });
  });
});

describe("a certificate request", () => {
  test("is signed by the key that it is for", async () => {
    const own = await key("RSA");
    const { id, state } = await make(REQUEST, { privateKeyPem: own["privateKeyPem"]!, subject: { commonName: "x" } });
    const der = Buffer.from(state["certRequestPem"]!.split("\n").slice(1, -2).join(""), "base64");
    expect(id).toBe(createHash("sha1").update(der).digest("hex"));
    expect(state["keyAlgorithm"]).toBe("RSA");
    const { certificationRequestInfo: info } = AsnConvert.parse(der, CertificationRequest);
    expect(Buffer.from(AsnConvert.serialize(info.subjectPKInfo))).toEqual(
      createPublicKey(own["publicKeyPem"]!).export({ format: "der", type: "spki" }),
    );
    expect(info.subject[0]![0]).toMatchObject({ type: "2.5.4.3", value: { printableString: "x" } });
  });

  test("refuses an address that is none, and a key that is none, without saying the key", async () => {
    const { privateKeyPem } = await key();
    await expect(make(REQUEST, { privateKeyPem: privateKeyPem!, ipAddresses: ["10.0.0.300"] })).rejects.toThrow(
      'Invalid IP address: Failed to parse "10.0.0.300"',
    );
    await expect(make(REQUEST, { privateKeyPem: "sentinel" })).rejects.toThrow(
      /^Failed to parse private key PEM: (?!.*sentinel)/,
    );
  });

  test("takes a write-only key instead, and never keeps it in the state", async () => {
    const { privateKeyPem } = await key();
    const inputs = { privateKeyPemWo: new Secret(privateKeyPem!), privateKeyPemWoVersion: 1 };
    const { state } = await client.create(REQUEST, inputs);
    expect(state).not.toHaveProperty("privateKeyPemWo");
    const diff = (news: PropertyMap) => client.diff(REQUEST, { olds: state, news });
    expect(await diff({ ...inputs, privateKeyPemWo: "other" })).toMatchObject({ changes: "none" });
    expect(await diff({ ...inputs, privateKeyPemWoVersion: 2 })).toMatchObject({
      replaces: ["privateKeyPemWoVersion"],
    });
  });
});

describe("a locally signed certificate", () => {
  const names = {
    subject: {
      commonName: "leaf",
      organization: "system:masters",
      organizationalUnit: "ops",
      country: "DE",
      province: "BY",
      locality: "München",
      postalCode: "80331",
      streetAddresses: ["Marienplatz 8"],
      serialNumber: "7",
      emailAddress: "ops@example.com",
    },
    dnsNames: ["api.example", "*.apps.example"],
    ipAddresses: ["10.0.1.11", "2001:db8::1"],
    uris: ["spiffe://example/leaf"],
  };

  test("chains to its authority and has every name of the request", async () => {
    const { certificate, ca, own } = await signed(names);
    expect(certificate.verify(ca.publicKey)).toBe(true);
    expect(certificate.checkIssued(ca)).toBe(true);
    expect(certificate.checkPrivateKey(createPrivateKey(own["privateKeyPem"]!))).toBe(true);
    expect(certificate.subject.split("\n")).toEqual([
      "C=DE",
      "O=system:masters",
      "OU=ops",
      "L=München",
      "ST=BY",
      "street=Marienplatz 8",
      "postalCode=80331",
      "CN=leaf",
      "serialNumber=7",
      "emailAddress=ops@example.com",
    ]);
    expect(certificate.subjectAltName).toBe(
      "DNS:api.example, DNS:*.apps.example, IP Address:10.0.1.11, IP Address:2001:DB8:0:0:0:0:0:1, URI:spiffe://example/leaf",
    );
    expect(certificate.checkHost("web.apps.example")).toBe("*.apps.example");
    expect(certificate.checkIP("2001:db8::1")).toBe("2001:db8::1");
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  });

  test("has the issuer's name byte for byte as the authority has it, for Go compares bytes", async () => {
    const { certificate, ca } = await signed(names);
    const of = (from: X509Certificate) => AsnConvert.parse(from.raw, x509.Certificate).tbsCertificate;
    const subject = Buffer.from(AsnConvert.serialize(of(ca).subject));
    expect(ca.raw.includes(subject)).toBe(true);
    expect(Buffer.from(AsnConvert.serialize(of(certificate).issuer))).toEqual(subject);
  });

  test("names its authority's key, and its own only when asked", async () => {
    const { certificate, ca } = await signed({ subject: { commonName: "a" } });
    const caKeyId = valueOf(ca, "2.5.29.14", x509.SubjectKeyIdentifier).buffer;
    expect(hex(valueOf(certificate, "2.5.29.35", x509.AuthorityKeyIdentifier).keyIdentifier?.buffer)).toBe(
      hex(caKeyId),
    );
    expect(extensionsOf(certificate).map(([id]) => id)).not.toContain("2.5.29.14");
    const { certificate: withId } = await signed({ subject: { commonName: "a" } }, { setSubjectKeyId: true });
    const spki = AsnConvert.parse(withId.publicKey.export({ format: "der", type: "spki" }), x509.SubjectPublicKeyInfo);
    expect(hex(valueOf(withId, "2.5.29.14", x509.SubjectKeyIdentifier).buffer)).toBe(
      createHash("sha1").update(Buffer.from(spki.subjectPublicKey)).digest("hex"),
    );
  });

  test("without a subject marks its other names critical", async () => {
    const { certificate } = await signed({ dnsNames: ["a.example"] });
    expect(extensionsOf(certificate)).toContainEqual(["2.5.29.17", true]);
    const { certificate: named } = await signed({ subject: { commonName: "a" }, dnsNames: ["a.example"] });
    expect(extensionsOf(named)).toContainEqual(["2.5.29.17", false]);
  });

  test.each([
    ["RSA", {}],
    ["ECDSA", { ecdsaCurve: "P256" }],
    ["ECDSA", { ecdsaCurve: "P384" }],
    ["ECDSA", { ecdsaCurve: "P521" }],
    ["ECDSA", {}],
    ["ED25519", {}],
  ])("can be signed by, and be for, a key of %s %j", async (algorithm, options) => {
    const caKey = (await key(algorithm, options))["privateKeyPem"]!;
    const ca = await make(SELF_SIGNED, {
      privateKeyPem: caKey,
      subject: { commonName: "ca" },
      isCaCertificate: true,
      validityPeriodHours: 24,
      allowedUses: ["cert_signing"],
    });
    const request = await make(REQUEST, { privateKeyPem: caKey, subject: { commonName: "x" } });
    const { state } = await make(LOCALLY_SIGNED, {
      certRequestPem: request.state["certRequestPem"]!,
      caCertPem: ca.state["certPem"]!,
      caPrivateKeyPem: caKey,
      validityPeriodHours: 1,
      allowedUses: ["server_auth"],
    });
    const [root, leaf] = [new X509Certificate(ca.state["certPem"]!), new X509Certificate(state["certPem"]!)];
    expect([root.verify(root.publicKey), leaf.verify(root.publicKey), leaf.checkIssued(root)]).toEqual([
      true,
      true,
      true,
    ]);
    expect(state["caKeyAlgorithm"]).toBe(algorithm);
  });

  test("is valid from now for its hours, and says so", async () => {
    const { certificate, state, id } = await signed({ subject: { commonName: "a" } }, { validityPeriodHours: 36 });
    expect(certificate.validFromDate).toEqual(new Date("2026-11-21T10:00:00Z"));
    expect(certificate.validToDate).toEqual(new Date("2026-11-22T22:00:00Z"));
    expect(state).toMatchObject({
      validityStartTime: "2026-11-21T10:00:00.500Z",
      validityEndTime: "2026-11-22T22:00:00.000Z",
      readyForRenewal: false,
      earlyRenewalHours: 0,
      maxPathLength: -1,
      isCaCertificate: false,
      setSubjectKeyId: false,
    });
    expect(BigInt(id)).toBe(BigInt(`0x${certificate.serialNumber}`));
    expect(BigInt(id)).toBeGreaterThan(0n);
  });

  test("can end after 2049, where X.509 changes the form of dates", async () => {
    const { certificate } = await signed({ subject: { commonName: "a" } }, { validityPeriodHours: 24 * 365 * 30 });
    expect(certificate.validToDate.getUTCFullYear()).toBe(2056);
  });

  test("warns where its authority is none", async () => {
    const own = await key();
    const notCa = await make(SELF_SIGNED, {
      privateKeyPem: own["privateKeyPem"]!,
      subject: { commonName: "no authority" },
      validityPeriodHours: 1,
      allowedUses: [],
    });
    const before = client.messages.length;
    await signed(
      { subject: { commonName: "a" } },
      { caCertPem: notCa.state["certPem"]!, caPrivateKeyPem: own["privateKeyPem"]! },
    );
    expect(client.messages.slice(before)).toMatchObject([
      { severity: "warning", text: expect.stringMatching(/^Potentially Invalid Certificate Authority: /) },
    ]);
  });

  test("says which input cannot be read", async () => {
    const ca = await authority();
    await expect(signed({ subject: { commonName: "a" } }, { caCertPem: "nothing" })).rejects.toThrow(
      'Failed to parse CA certificate PEM: no PEM block of type "CERTIFICATE"',
    );
    await expect(signed({ subject: { commonName: "a" } }, { certRequestPem: ca.certPem })).rejects.toThrow(
      'Failed to parse certificate request PEM: invalid PEM type - expected "CERTIFICATE REQUEST", got "CERTIFICATE"',
    );
    await expect(signed({ subject: { commonName: "a" } }, { caPrivateKeyPem: "nothing" })).rejects.toThrow(
      "Failed to parse CA private key PEM",
    );
  });
});

describe("renewal", () => {
  const inputs = async (earlyRenewalHours: number): Promise<PropertyMap> => ({
    privateKeyPem: new Secret((await authority()).privateKeyPem),
    subject: { commonName: "renewed" },
    validityPeriodHours: 100,
    allowedUses: ["server_auth"],
    earlyRenewalHours,
  });

  test("a changed early renewal updates in place and keeps the certificate", async () => {
    const [olds, news] = [await inputs(10), await inputs(20)];
    const { id, state } = await client.create(SELF_SIGNED, olds);
    expect(await client.diff(SELF_SIGNED, { id, olds: state, news, oldInputs: olds })).toMatchObject({
      changes: "some",
      replaces: [],
      diffs: ["earlyRenewalHours"],
    });
    const updated = await client.update(SELF_SIGNED, id, { olds: state, news, oldInputs: olds });
    expect(updated).toEqual({ ...state, earlyRenewalHours: 20 });
  });

  test("is due once the early hours have begun: a read shows it, and a diff replaces", async () => {
    const given = await inputs(10);
    const { id, state } = await client.create(SELF_SIGNED, given);
    const diff = () => client.diff(SELF_SIGNED, { id, olds: state, news: given, oldInputs: given });
    now = new Date(START.getTime() + 89 * HOUR);
    expect(await diff()).toMatchObject({ changes: "none" });
    expect((await client.read(SELF_SIGNED, id, { state, inputs: given }))?.state).toEqual(state);
    now = new Date(START.getTime() + 90 * HOUR);
    expect(await diff()).toMatchObject({ changes: "some", replaces: ["readyForRenewal"] });
    expect((await client.read(SELF_SIGNED, id, { state, inputs: given }))?.state).toEqual({
      ...state,
      readyForRenewal: true,
    });
  });
});

describe("check and diff of certificates", () => {
  const reasons = async (resource: { type: string }, given: PropertyMap) =>
    (await client.check(resource, given)).failures.map(({ reason }) => reason);

  test("refuses what is missing", async () => {
    expect(await reasons(LOCALLY_SIGNED, { caPrivateKeyPem: "k" })).toEqual([
      "Missing required property 'allowedUses': List of key usages allowed for the issued certificate.",
      "Missing required property 'validityPeriodHours': Number of hours, after initial issuing, that the certificate will remain valid for.",
      "Missing required property 'caCertPem': Certificate data of the Certificate Authority (CA) in PEM (RFC 1421) format.",
      "Missing required property 'certRequestPem': Certificate request data in PEM (RFC 1421) format.",
    ]);
  });

  test("refuses a use, an algorithm or a curve that does not exist, with those that do", async () => {
    const [use] = await reasons(SELF_SIGNED, {
      privateKeyPem: "k",
      validityPeriodHours: 1,
      allowedUses: ["server_auth", "serverAuth"],
    });
    expect(use).toMatch(
      /^Invalid Attribute Value Match\. Attribute allowed_uses\[1\] value must be one of: \["any_extended" "cert_signing" .*"timestamping"\], got: "serverAuth"\. Examine values at 'example\.allowedUses'\.$/,
    );
    expect(await reasons(KEY, { algorithm: "DSA", ecdsaCurve: "P257" })).toEqual([
      `Invalid Attribute Value Match. Attribute algorithm value must be one of: ["RSA" "ECDSA" "ED25519"], got: "DSA". Examine values at 'example.algorithm'.`,
      `Invalid Attribute Value Match. Attribute ecdsa_curve value must be one of: ["P224" "P256" "P384" "P521"], got: "P257". Examine values at 'example.ecdsaCurve'.`,
    ]);
  });

  test("refuses no key, and two", async () => {
    const neither =
      "Invalid Attribute Combination. Exactly one of these attributes must be configured: [privateKeyPem,privateKeyPemWo].";
    expect(await reasons(REQUEST, {})).toEqual([neither]);
    expect(await reasons(REQUEST, { privateKeyPem: "a", privateKeyPemWo: "b" })).toEqual([neither]);
  });

  test("lets what is not known yet pass", async () => {
    expect(
      await reasons(LOCALLY_SIGNED, {
        certRequestPem: UNKNOWN,
        caCertPem: UNKNOWN,
        caPrivateKeyPem: new Secret(UNKNOWN),
        allowedUses: UNKNOWN,
        validityPeriodHours: UNKNOWN,
      }),
    ).toEqual([]);
  });

  test.each<[string, PropertyMap]>([
    ["subject", { subject: { commonName: "b" } }],
    ["dnsNames", { dnsNames: ["b.example"] }],
    ["ipAddresses", { ipAddresses: ["127.0.0.1"] }],
    ["uris", { uris: ["spiffe://b"] }],
    ["validityPeriodHours", { validityPeriodHours: 2 }],
    ["allowedUses", { allowedUses: ["client_auth"] }],
    ["isCaCertificate", { isCaCertificate: true }],
    ["setSubjectKeyId", { setSubjectKeyId: true }],
    ["setAuthorityKeyId", { setAuthorityKeyId: true }],
    ["privateKeyPem", { privateKeyPem: UNKNOWN }],
  ])("a changed %s replaces the certificate", async (name, changed) => {
    const { privateKeyPem } = await authority();
    const given = {
      privateKeyPem: new Secret(privateKeyPem),
      subject: { commonName: "a", country: null },
      validityPeriodHours: 1,
      allowedUses: ["server_auth"],
    };
    const { state } = await client.create(SELF_SIGNED, given);
    expect(await client.diff(SELF_SIGNED, { olds: state, news: given, oldInputs: given })).toMatchObject({
      changes: "none",
    });
    expect(
      await client.diff(SELF_SIGNED, { olds: state, news: { ...given, ...changed }, oldInputs: given }),
    ).toMatchObject({ changes: "some", replaces: [name], diffs: [name] });
  });
});

test("getPublicKey gives a key's public forms, and keeps the key itself secret", async () => {
  const state = await key("ED25519", {});
  const { result } = await client.invoke("tls:index/getPublicKey:getPublicKey", {
    privateKeyPem: new Secret(state["privateKeyPem"]!),
  });
  expect(result).toEqual({
    algorithm: "ED25519",
    id: state["id"],
    privateKeyPem: new Secret(state["privateKeyPem"]!),
    publicKeyFingerprintMd5: state["publicKeyFingerprintMd5"],
    publicKeyFingerprintSha256: state["publicKeyFingerprintSha256"],
    publicKeyOpenssh: state["publicKeyOpenssh"],
    publicKeyPem: state["publicKeyPem"],
  });
});
