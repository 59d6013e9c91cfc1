/** The tls provider (terraform-provider-tls 4): real keys, requests and certificates. */
import { isIP } from "node:net";
import type { PropertyMap, Provider } from "../protocol/provider";
import { createStateOnlyProvider, type Input, type StateOnlyResource, textOf } from "../protocol/state-only-provider";
import { isMap } from "../protocol/values";
import {
  ALLOWED_USES,
  type AlternativeNames,
  type CertificateTerms,
  distinguishedName,
  parseAuthority,
  parseRequest,
  publicKeyOf,
  signCertificate,
  type SignedCertificate,
  signRequest,
  type Subject,
} from "./certificate";
import {
  type Algorithm,
  ALGORITHMS,
  algorithmOf,
  type Curve,
  CURVES,
  generateKey,
  parsePrivateKey,
  privateKeyPem,
  privateKeyPemPkcs8,
  publicKeyId,
  publicKeyPem,
} from "./key";
import { opensshPrivateKey, opensshPublicKey } from "./openssh";

/** The release of @pulumi/tls whose provider it stands in for. */
const VERSION = "5.6.1";

const MILLISECONDS_PER_HOUR = 3_600_000;

export interface TlsOptions {
  /** Default: the clock. */
  now?: () => Date;
}

const privateKey: StateOnlyResource = {
  inputs: {
    algorithm: {
      type: "string",
      required: true,
      oneOf: ALGORITHMS,
      description: "Name of the algorithm to use when generating the private key.",
    },
    ecdsaCurve: { type: "string", default: "P224", oneOf: Object.keys(CURVES) },
    rsaBits: { type: "number", default: 2048 },
  },
  outputs: [
    "privateKeyOpenssh",
    "privateKeyPem",
    "privateKeyPemPkcs8",
    "publicKeyFingerprintMd5",
    "publicKeyFingerprintSha256",
    "publicKeyOpenssh",
    "publicKeyPem",
  ],
  secrets: ["privateKeyOpenssh", "privateKeyPem", "privateKeyPemPkcs8"],
  create: async ({ algorithm, ecdsaCurve, rsaBits }) => {
    const key = await generateKey(algorithm as Algorithm, { rsaBits: rsaBits as number, curve: ecdsaCurve as Curve });
    const openssh = opensshPublicKey(key);
    return {
      id: publicKeyId(key),
      outputs: {
        privateKeyOpenssh: opensshPrivateKey(key) ?? "",
        privateKeyPem: privateKeyPem(key),
        privateKeyPemPkcs8: privateKeyPemPkcs8(key),
        publicKeyFingerprintMd5: openssh?.fingerprintMd5 ?? "",
        publicKeyFingerprintSha256: openssh?.fingerprintSha256 ?? "",
        publicKeyOpenssh: openssh?.line ?? "",
        publicKeyPem: publicKeyPem(key),
      },
    };
  },
};

/** Inputs of what a certificate is for: of a request and of a self-signed certificate. */
const HOLDER_INPUTS = {
  dnsNames: { type: "list" },
  ipAddresses: { type: "list" },
  privateKeyPem: { type: "string" },
  privateKeyPemWo: { type: "string", writeOnly: true },
  privateKeyPemWoVersion: { type: "number" },
  subject: { type: "map" },
  uris: { type: "list" },
} satisfies Record<string, Input>;

/** Inputs of a certificate's terms. */
const TERM_INPUTS = {
  allowedUses: {
    type: "list",
    required: true,
    oneOf: ALLOWED_USES,
    description: "List of key usages allowed for the issued certificate.",
  },
  earlyRenewalHours: { type: "number", default: 0, atLeast: 0, updatable: true },
  isCaCertificate: { type: "boolean", default: false },
  maxPathLength: { type: "number", default: -1, atLeast: -1 },
  setSubjectKeyId: { type: "boolean", default: false },
  validityPeriodHours: {
    type: "number",
    required: true,
    atLeast: 0,
    description: "Number of hours, after initial issuing, that the certificate will remain valid for.",
  },
} satisfies Record<string, Input>;

const CERTIFICATE_OUTPUTS = ["certPem", "readyForRenewal", "validityEndTime", "validityStartTime"];

const certRequest: StateOnlyResource = {
  inputs: HOLDER_INPUTS,
  outputs: ["certRequestPem", "keyAlgorithm"],
  secrets: ["privateKeyPem", "privateKeyPemWo"],
  validate: (inputs) => exactlyOne(inputs, "privateKeyPem", "privateKeyPemWo"),
  create: async (inputs) => {
    const key = keyOf(inputs, "privateKeyPem", "private key");
    const { pem, id } = signRequest(distinguishedName(subjectOf(inputs)), alternativeNamesOf(inputs), key);
    return { id, outputs: { certRequestPem: pem, keyAlgorithm: algorithmOf(key) } };
  },
};

function selfSignedCert(now: () => Date): StateOnlyResource {
  return {
    inputs: { ...HOLDER_INPUTS, ...TERM_INPUTS, setAuthorityKeyId: { type: "boolean", default: false } },
    outputs: [...CERTIFICATE_OUTPUTS, "keyAlgorithm"],
    secrets: ["privateKeyPem", "privateKeyPemWo"],
    validate: (inputs) => exactlyOne(inputs, "privateKeyPem", "privateKeyPemWo"),
    create: async (inputs) => {
      const key = keyOf(inputs, "privateKeyPem", "private key");
      const holder = {
        name: distinguishedName(subjectOf(inputs)),
        alternativeNames: alternativeNamesOf(inputs),
        publicKey: publicKeyOf(key),
      };
      const terms = termsOf(inputs, now());
      return issued(signCertificate(holder, terms, { key }), terms, { keyAlgorithm: algorithmOf(key) });
    },
    ...renewal(now),
  };
}

function locallySignedCert(now: () => Date): StateOnlyResource {
  return {
    inputs: {
      ...TERM_INPUTS,
      caCertPem: {
        type: "string",
        required: true,
        description: "Certificate data of the Certificate Authority (CA) in PEM (RFC 1421) format.",
      },
      caPrivateKeyPem: { type: "string" },
      caPrivateKeyPemWo: { type: "string", writeOnly: true },
      caPrivateKeyPemWoVersion: { type: "number" },
      certRequestPem: {
        type: "string",
        required: true,
        description: "Certificate request data in PEM (RFC 1421) format.",
      },
    },
    outputs: [...CERTIFICATE_OUTPUTS, "caKeyAlgorithm"],
    secrets: ["caPrivateKeyPem", "caPrivateKeyPemWo"],
    validate: (inputs) => exactlyOne(inputs, "caPrivateKeyPem", "caPrivateKeyPemWo"),
    create: async (inputs, log) => {
      const holder = parseRequest(inputs["certRequestPem"] as string);
      const key = keyOf(inputs, "caPrivateKeyPem", "CA private key");
      const authority = parseAuthority(inputs["caCertPem"] as string);
      if (!authority.isCa) {
        log(
          "warning",
          "Potentially Invalid Certificate Authority: Certificate provided as Authority does not appear to be a valid " +
            "Certificate Authority. The resulting certificate might fail certificate validation.",
        );
      }
      const terms = termsOf(inputs, now());
      return issued(signCertificate(holder, terms, { key, authority }), terms, { caKeyAlgorithm: algorithmOf(key) });
    },
    ...renewal(now),
  };
}

/** A certificate whose early renewal has come says so when it is read, and is replaced by the next update. */
function renewal(now: () => Date): Pick<StateOnlyResource, "refresh" | "outdated"> {
  const due = (validityEndTime: unknown, earlyRenewalHours: unknown): boolean =>
    typeof validityEndTime === "string" &&
    Date.parse(validityEndTime) - Number(earlyRenewalHours ?? 0) * MILLISECONDS_PER_HOUR <= now().getTime();
  return {
    refresh: (state) =>
      due(state["validityEndTime"], state["earlyRenewalHours"]) ? { ...state, readyForRenewal: true } : state,
    outdated: (state, inputs) =>
      due(state["validityEndTime"], inputs["earlyRenewalHours"]) ? ["readyForRenewal"] : [],
  };
}

function issued(
  { pem, serialNumber, notAfter }: SignedCertificate,
  { notBefore }: CertificateTerms,
  outputs: Record<string, string>,
) {
  return {
    id: serialNumber,
    outputs: {
      ...outputs,
      certPem: pem,
      readyForRenewal: false,
      validityStartTime: notBefore.toISOString(),
      validityEndTime: notAfter.toISOString(),
    },
  };
}

function termsOf(inputs: PropertyMap, notBefore: Date): CertificateTerms {
  return {
    notBefore,
    validityPeriodHours: inputs["validityPeriodHours"] as number,
    allowedUses: textsOf(inputs, "allowedUses"),
    isCaCertificate: inputs["isCaCertificate"] === true,
    maxPathLength: inputs["maxPathLength"] as number,
    setSubjectKeyId: inputs["setSubjectKeyId"] === true,
    setAuthorityKeyId: inputs["setAuthorityKeyId"] === true,
  };
}

function subjectOf({ subject }: PropertyMap): Subject {
  if (!isMap(subject)) return {};
  return Object.fromEntries(Object.entries(subject).filter(([, value]) => value !== null));
}

function alternativeNamesOf(inputs: PropertyMap): AlternativeNames {
  const ipAddresses = textsOf(inputs, "ipAddresses");
  for (const address of ipAddresses) {
    if (isIP(address) === 0) throw new Error(`Invalid IP address: Failed to parse "${address}"`);
  }
  return { dnsNames: textsOf(inputs, "dnsNames"), ipAddresses, uris: textsOf(inputs, "uris") };
}

function textsOf(inputs: PropertyMap, name: string): string[] {
  return ((inputs[name] as readonly string[] | undefined) ?? []).map(String);
}

/** The key itself, or the write-only one beside it. */
function keyOf(inputs: PropertyMap, name: string, what: string) {
  return parsePrivateKey(textOf(inputs[name]) ?? textOf(inputs[`${name}Wo`]) ?? "", what);
}

function exactlyOne(inputs: PropertyMap, ...names: readonly string[]) {
  const given = names.filter((name) => (inputs[name] ?? null) !== null);
  if (given.length === 1) return [];
  const reason = `Invalid Attribute Combination. Exactly one of these attributes must be configured: [${names.join(",")}].`;
  return [{ property: "", reason }];
}

async function getPublicKey(args: PropertyMap): Promise<PropertyMap> {
  const pem = textOf(args["privateKeyPem"]);
  if (pem === undefined) {
    throw new Error("getPublicKey: the stand-in reads privateKeyPem only, not privateKeyOpenssh. Pass the PEM form.");
  }
  const key = parsePrivateKey(pem, "private key");
  const openssh = opensshPublicKey(key);
  return {
    algorithm: algorithmOf(key),
    id: publicKeyId(key),
    privateKeyPem: pem,
    publicKeyFingerprintMd5: openssh?.fingerprintMd5 ?? "",
    publicKeyFingerprintSha256: openssh?.fingerprintSha256 ?? "",
    publicKeyOpenssh: openssh?.line ?? "",
    publicKeyPem: publicKeyPem(key),
  };
}

export function createTlsProvider({ now = () => new Date() }: TlsOptions = {}): Provider {
  return createStateOnlyProvider({
    name: "tls",
    version: VERSION,
    resources: {
      "tls:index/certRequest:CertRequest": certRequest,
      "tls:index/locallySignedCert:LocallySignedCert": locallySignedCert(now),
      "tls:index/privateKey:PrivateKey": privateKey,
      "tls:index/selfSignedCert:SelfSignedCert": selfSignedCert(now),
    },
    functions: { "tls:index/getPublicKey:getPublicKey": getPublicKey },
  });
}
