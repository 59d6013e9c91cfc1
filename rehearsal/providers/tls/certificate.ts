/**
 * Certificates and certificate requests as Go's crypto/x509 makes them, with the choices of terraform-provider-tls. Go's
 * verifier compares an issuer's name with the authority's subject byte by byte, so names are written as Go writes them.
 */
import { createHash, createPublicKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { Attributes, CertificationRequest, CertificationRequestInfo } from "@peculiar/asn1-csr";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  Attribute,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
} from "@peculiar/asn1-x509";
import { algorithmOf } from "./key";

const OID = {
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  basicConstraints: "2.5.29.19",
  subjectKeyId: "2.5.29.14",
  authorityKeyId: "2.5.29.35",
  subjectAlternativeName: "2.5.29.17",
  extensionRequest: "1.2.840.113549.1.9.14",
} as const;

const KEY_USAGES: Readonly<Record<string, number>> = {
  digital_signature: KeyUsageFlags.digitalSignature,
  content_commitment: KeyUsageFlags.nonRepudiation,
  key_encipherment: KeyUsageFlags.keyEncipherment,
  data_encipherment: KeyUsageFlags.dataEncipherment,
  key_agreement: KeyUsageFlags.keyAgreement,
  cert_signing: KeyUsageFlags.keyCertSign,
  crl_signing: KeyUsageFlags.cRLSign,
  encipher_only: KeyUsageFlags.encipherOnly,
  decipher_only: KeyUsageFlags.decipherOnly,
};

const EXTENDED_KEY_USAGES: Readonly<Record<string, string>> = {
  any_extended: "2.5.29.37.0",
  server_auth: "1.3.6.1.5.5.7.3.1",
  client_auth: "1.3.6.1.5.5.7.3.2",
  code_signing: "1.3.6.1.5.5.7.3.3",
  email_protection: "1.3.6.1.5.5.7.3.4",
  ipsec_end_system: "1.3.6.1.5.5.7.3.5",
  ipsec_tunnel: "1.3.6.1.5.5.7.3.6",
  ipsec_user: "1.3.6.1.5.5.7.3.7",
  timestamping: "1.3.6.1.5.5.7.3.8",
  ocsp_signing: "1.3.6.1.5.5.7.3.9",
  microsoft_server_gated_crypto: "1.3.6.1.4.1.311.10.3.3",
  netscape_server_gated_crypto: "2.16.840.1.113730.4.1",
  microsoft_commercial_code_signing: "1.3.6.1.4.1.311.2.1.22",
  microsoft_kernel_code_signing: "1.3.6.1.4.1.311.61.1.1",
};

/** All values of `allowedUses`, sorted. */
export const ALLOWED_USES = [...Object.keys(KEY_USAGES), ...Object.keys(EXTENDED_KEY_USAGES)].sort();

/** A distinguished name; each part may be missing. */
export interface Subject {
  country?: string;
  organization?: string;
  organizationalUnit?: string;
  locality?: string;
  province?: string;
  streetAddresses?: readonly string[];
  postalCode?: string;
  commonName?: string;
  serialNumber?: string;
  emailAddress?: string;
}

/** Go's order of a name's parts (pkix.Name.ToRDNSequence), with their identifiers. */
const NAME_PARTS = [
  ["country", "2.5.4.6"],
  ["organization", "2.5.4.10"],
  ["organizationalUnit", "2.5.4.11"],
  ["locality", "2.5.4.7"],
  ["province", "2.5.4.8"],
  ["streetAddresses", "2.5.4.9"],
  ["postalCode", "2.5.4.17"],
  ["commonName", "2.5.4.3"],
  ["serialNumber", "2.5.4.5"],
  ["emailAddress", "1.2.840.113549.1.9.1"],
] as const satisfies readonly (readonly [keyof Subject, string])[];

export interface AlternativeNames {
  dnsNames: readonly string[];
  ipAddresses: readonly string[];
  uris: readonly string[];
}

/** Whom a certificate is for: from the inputs of a self-signed one, or from a request. */
export interface Holder {
  name: Name;
  alternativeNames: AlternativeNames;
  publicKey: SubjectPublicKeyInfo;
}

export interface CertificateTerms {
  notBefore: Date;
  validityPeriodHours: number;
  allowedUses: readonly string[];
  isCaCertificate: boolean;
  /** -1: no limit. */
  maxPathLength: number;
  setSubjectKeyId: boolean;
  /** Of a self-signed certificate: it names its own key as the authority's. */
  setAuthorityKeyId: boolean;
}

/** An authority's certificate, as far as signing needs it. */
export interface Authority {
  name: Name;
  subjectKeyId: ArrayBuffer | undefined;
  isCa: boolean;
}

export interface SignedCertificate {
  pem: string;
  /** Decimal: the resource's id. */
  serialNumber: string;
  notAfter: Date;
}

export function distinguishedName(subject: Subject): Name {
  const parts = NAME_PARTS.flatMap(([part, type]) => {
    const given = subject[part] ?? [];
    const values = typeof given === "string" ? [given] : given;
    if (values.length === 0) return [];
    const attributes = values.map(
      (value) => new AttributeTypeAndValue({ type, value: attributeValue(value, part === "emailAddress") }),
    );
    return [new RelativeDistinguishedName(attributes)];
  });
  return new Name(parts);
}

/** As Go's asn1 writes text: PrintableString where its characters allow, else UTF-8. */
function attributeValue(value: string, ia5: boolean): AttributeValue {
  if (ia5) return new AttributeValue({ ia5String: value });
  return new AttributeValue(
    /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(value) ? { printableString: value } : { utf8String: value },
  );
}

export function publicKeyOf(key: KeyObject): SubjectPublicKeyInfo {
  return AsnConvert.parse(createPublicKey(key).export({ format: "der", type: "spki" }), SubjectPublicKeyInfo);
}

/** A self-signed certificate where no authority is given; then the key is its own. */
export function signCertificate(
  holder: Holder,
  terms: CertificateTerms,
  signer: { key: KeyObject; authority?: Authority },
): SignedCertificate {
  if (terms.isCaCertificate && holder.name.length === 0) {
    throw new Error(
      "Invalid Certificate Subject: Must contain at least one Distinguished Name when creating Certificate Authority (CA)",
    );
  }
  const subjectKeyId = terms.setSubjectKeyId || terms.isCaCertificate ? keyIdOf(holder.publicKey) : undefined;
  const authority = signer.authority ?? { name: holder.name, subjectKeyId, isCa: terms.isCaCertificate };
  const notBefore = new Date(Math.floor(terms.notBefore.getTime() / 1_000) * 1_000);
  const notAfter = new Date(notBefore.getTime() + terms.validityPeriodHours * 3_600_000);
  const serialNumber = randomSerialNumber();
  const algorithm = signatureAlgorithm(signer.key);
  const tbs = new TBSCertificate({
    version: 2, // X.509 v3
    serialNumber: derInteger(serialNumber),
    signature: algorithm.identifier,
    issuer: authority.name,
    validity: new Validity({ notBefore, notAfter }),
    subject: holder.name,
    subjectPublicKeyInfo: holder.publicKey,
    extensions: new Extensions(
      certificateExtensions(holder, terms, subjectKeyId, authorityKeyId(holder, terms, authority)),
    ),
  });
  const certificate = new Certificate({
    tbsCertificate: tbs,
    signatureAlgorithm: algorithm.identifier,
    signatureValue: arrayBuffer(sign(algorithm.hash, Buffer.from(AsnConvert.serialize(tbs)), signer.key)),
  });
  return {
    pem: pemOf("CERTIFICATE", AsnConvert.serialize(certificate)),
    serialNumber: serialNumber.toString(),
    notAfter,
  };
}

/**
 * Go names the authority's key by itself where issuer and subject differ; where they are the same, only when asked.
 */
function authorityKeyId(holder: Holder, terms: CertificateTerms, authority: Authority): ArrayBuffer | undefined {
  if (terms.setAuthorityKeyId) {
    if (authority.subjectKeyId === undefined) {
      throw new Error(
        "Invalid Certificate Authority: Could not determine Authority Key Identifier. Set setSubjectKeyId, too.",
      );
    }
    return authority.subjectKeyId;
  }
  const own = Buffer.from(AsnConvert.serialize(holder.name));
  return own.equals(Buffer.from(AsnConvert.serialize(authority.name))) ? undefined : authority.subjectKeyId;
}

/** In Go's order. */
function certificateExtensions(
  holder: Holder,
  terms: CertificateTerms,
  subjectKeyId: ArrayBuffer | undefined,
  authorityId: ArrayBuffer | undefined,
): Extension[] {
  const usages = terms.allowedUses.flatMap((use) => KEY_USAGES[use] ?? []);
  const extended = terms.allowedUses.flatMap((use) => EXTENDED_KEY_USAGES[use] ?? []);
  const limited = terms.isCaCertificate && terms.maxPathLength >= 0;
  const constraints = new BasicConstraints({
    cA: terms.isCaCertificate,
    ...(limited ? { pathLenConstraint: terms.maxPathLength } : {}),
  });
  return [
    ...(usages.length > 0 ? [extension(OID.keyUsage, true, keyUsage(usages))] : []),
    ...(extended.length > 0 ? [extension(OID.extendedKeyUsage, false, new ExtendedKeyUsage(extended))] : []),
    extension(OID.basicConstraints, true, constraints),
    ...(subjectKeyId === undefined ? [] : [extension(OID.subjectKeyId, false, new SubjectKeyIdentifier(subjectKeyId))]),
    ...(authorityId === undefined
      ? []
      : [
          extension(
            OID.authorityKeyId,
            false,
            new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(authorityId) }),
          ),
        ]),
    ...alternativeNameExtension(holder.alternativeNames, holder.name.length === 0),
  ];
}

/** Critical where it is the only name (RFC 5280, 4.2.1.6). */
function alternativeNameExtension({ dnsNames, ipAddresses, uris }: AlternativeNames, critical: boolean): Extension[] {
  const names = [
    ...dnsNames.map((dNSName) => new GeneralName({ dNSName })),
    ...ipAddresses.map((iPAddress) => new GeneralName({ iPAddress })),
    ...uris.map((uniformResourceIdentifier) => new GeneralName({ uniformResourceIdentifier })),
  ];
  if (names.length === 0) return [];
  return [extension(OID.subjectAlternativeName, critical, new SubjectAlternativeName(names))];
}

function extension(extnID: string, critical: boolean, value: object): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

/** Bits of a named list: DER leaves trailing zero bits out. */
function keyUsage(usages: readonly number[]): KeyUsage {
  const flags = usages.reduce((all, flag) => all | flag, 0);
  const length = 32 - Math.clz32(flags);
  const bytes = new Uint8Array(Math.ceil(length / 8));
  for (let bit = 0; bit < length; bit += 1) {
    if ((flags & (1 << bit)) !== 0) bytes[bit >> 3]! |= 0x80 >> (bit & 7);
  }
  return new KeyUsage(bytes.buffer, bytes.length * 8 - length);
}

/** SHA-1 of the public key; of an Ed25519 one, of its octet string, as the real provider has it. */
function keyIdOf(publicKey: SubjectPublicKeyInfo): ArrayBuffer {
  const ed25519 = publicKey.algorithm.algorithm === "1.3.101.112";
  const key = Buffer.from(publicKey.subjectPublicKey);
  const hashed = ed25519 ? Buffer.concat([Buffer.from([4, key.length]), key]) : key;
  return arrayBuffer(createHash("sha1").update(hashed).digest());
}

/** PKCS#10, signed by the key that it is for. */
export function signRequest(
  subject: Name,
  alternativeNames: AlternativeNames,
  key: KeyObject,
): { pem: string; id: string } {
  const algorithm = signatureAlgorithm(key);
  const extensions = alternativeNameExtension(alternativeNames, subject.length === 0);
  const requested = new Attribute({
    type: OID.extensionRequest,
    values: [AsnConvert.serialize(new Extensions(extensions))],
  });
  const info = new CertificationRequestInfo({
    version: 0,
    subject,
    subjectPKInfo: publicKeyOf(key),
    attributes: new Attributes(extensions.length > 0 ? [requested] : []),
  });
  const request = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: algorithm.identifier,
    signature: arrayBuffer(sign(algorithm.hash, Buffer.from(AsnConvert.serialize(info)), key)),
  });
  const der = AsnConvert.serialize(request);
  return { pem: pemOf("CERTIFICATE REQUEST", der), id: createHash("sha1").update(Buffer.from(der)).digest("hex") };
}

export function parseRequest(pem: string): Holder {
  const request = parsed(pem, "CERTIFICATE REQUEST", "certificate request", CertificationRequest);
  const { subject, subjectPKInfo, attributes } = request.certificationRequestInfo;
  const extensions = [...(attributes ?? [])]
    .filter(({ type }) => type === OID.extensionRequest)
    .flatMap(({ values }) => values.flatMap((value) => [...AsnConvert.parse(value, Extensions)]));
  const names = extensions
    .filter(({ extnID }) => extnID === OID.subjectAlternativeName)
    .flatMap(({ extnValue }) => [...AsnConvert.parse(extnValue.buffer, SubjectAlternativeName)]);
  return {
    name: subject,
    publicKey: subjectPKInfo,
    alternativeNames: {
      dnsNames: names.flatMap(({ dNSName }) => dNSName ?? []),
      ipAddresses: names.flatMap(({ iPAddress }) => iPAddress ?? []),
      uris: names.flatMap(({ uniformResourceIdentifier }) => uniformResourceIdentifier ?? []),
    },
  };
}

/** The first certificate of the text: an authority's own comes before those above it. */
export function parseAuthority(pem: string): Authority {
  const { subject, extensions = new Extensions() } = parsed(
    pem,
    "CERTIFICATE",
    "CA certificate",
    Certificate,
  ).tbsCertificate;
  const valueOf = (id: string) => extensions.find(({ extnID }) => extnID === id)?.extnValue.buffer;
  const keyId = valueOf(OID.subjectKeyId);
  const constraints = valueOf(OID.basicConstraints);
  return {
    name: subject,
    subjectKeyId: keyId === undefined ? undefined : AsnConvert.parse(keyId, SubjectKeyIdentifier).buffer,
    isCa: constraints !== undefined && AsnConvert.parse(constraints, BasicConstraints).cA,
  };
}

function parsed<Type>(pem: string, label: string, what: string, type: new () => Type): Type {
  const block = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----/.exec(pem);
  if (block === null) throw new Error(`Failed to parse ${what} PEM: no PEM block of type "${label}" in it`);
  if (block[1] !== label) {
    throw new Error(`Failed to parse ${what} PEM: invalid PEM type - expected "${label}", got "${block[1]}"`);
  }
  try {
    return AsnConvert.parse(Buffer.from(block[2]!, "base64"), type);
  } catch (error) {
    throw new Error(`Failed to parse ${what} PEM: ${(error as Error).message}`, { cause: error });
  }
}

/** Go's choice of the hash by the size of the key. */
function signatureAlgorithm(key: KeyObject): { identifier: AlgorithmIdentifier; hash: string | null } {
  switch (algorithmOf(key)) {
    case "RSA":
      return {
        identifier: new AlgorithmIdentifier({ algorithm: "1.2.840.113549.1.1.11", parameters: null }),
        hash: "sha256",
      };
    case "ECDSA": {
      const curve = key.asymmetricKeyDetails?.namedCurve;
      if (curve === "secp384r1") return { identifier: identifier("1.2.840.10045.4.3.3"), hash: "sha384" };
      if (curve === "secp521r1") return { identifier: identifier("1.2.840.10045.4.3.4"), hash: "sha512" };
      return { identifier: identifier("1.2.840.10045.4.3.2"), hash: "sha256" };
    }
    case "ED25519":
      return { identifier: identifier("1.3.101.112"), hash: null };
  }
}

function identifier(algorithm: string): AlgorithmIdentifier {
  return new AlgorithmIdentifier({ algorithm });
}

/** 128 random bits, never zero. */
function randomSerialNumber(): bigint {
  const serial = BigInt(`0x${randomBytes(16).toString("hex")}`);
  return serial === 0n ? randomSerialNumber() : serial;
}

/** Shortest form of a positive number: a zero byte in front where the first bit is set. */
function derInteger(value: bigint): ArrayBuffer {
  const digits = value.toString(16);
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, "hex");
  return arrayBuffer((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

function pemOf(label: string, der: ArrayBuffer): string {
  const lines = Buffer.from(der)
    .toString("base64")
    .replace(/.{64}(?!$)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

function arrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
