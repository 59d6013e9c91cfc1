import { resolve } from "../../model/resolve";
import type { PlatformDefinition } from "../../model/definition";
import { REFERENCE, stackSettings } from "./platforms.fixture";

/** What a zone says about mail and signatures, so that no notice is about them. */
const quiet = { zone: { dnssec: false, mail: "none" } } as const;

const noticesOf = (
  name: keyof typeof REFERENCE,
  change: { edge?: Partial<PlatformDefinition["edge"]>; values?: Record<string, unknown>; secrets?: string[] } = {},
): string[] => {
  const { secretNames, values, ...settings } = stackSettings(name);
  const definition = { ...REFERENCE[name], edge: { ...REFERENCE[name].edge, ...change.edge } } as PlatformDefinition;
  const { platform, problems } = resolve(definition, {
    ...settings,
    values: { ...values, ...change.values },
    secretNames: [...secretNames, ...(change.secrets ?? [])],
  });
  if (problems) throw new Error(JSON.stringify(problems));
  return platform.notices.map(({ code, level, path }) => `${code} ${level} ${path}`);
};

test("reminds of a zone that is not signed, and of a domain in whose name anybody can send mail", () => {
  expect(noticesOf("honeydue")).toEqual(["NT002 reminder edge.zone.dnssec", "NT003 reminder edge.zone.mail"]);
});

test("is quiet about what somebody has decided", () => {
  expect(noticesOf("honeydue", { edge: quiet })).toEqual([]);
});

test("says that the DS record must go to the registrar, for Cloudflare cannot do that", () => {
  expect(noticesOf("hangangjari")).toContain("NT002 reminder edge.zone.dnssec");
});

test("says beforehand that an emergency has no certificate, and then what visitors will see", () => {
  const staying = "NT005 warning trivet:emergency"; // the guarded host
  expect(noticesOf("honeydue", { edge: { ...quiet, direct: { prepared: true } } })).toEqual([
    "NT001 reminder trivet:publicCertificate",
  ]);
  expect(noticesOf("honeydue", { edge: quiet, values: { emergency: "direct" } })).toEqual([
    "NT001 warning trivet:emergency",
    staying,
  ]);
  const secrets = ["publicCertificate", "publicCertificateKey"];
  expect(noticesOf("honeydue", { edge: quiet, values: { emergency: "direct" }, secrets })).toEqual([staying]);
  // Half of it is none, which is said while there is time.
  const halves = secrets.map((name) => noticesOf("honeydue", { edge: quiet, secrets: [name] }));
  expect(halves).toEqual([["NT001 warning trivet:publicCertificateKey"], ["NT001 warning trivet:publicCertificate"]]);
  expect(noticesOf("honeydue", { edge: quiet, values: { emergency: "direct" }, secrets: secrets.slice(0, 1) })).toEqual(
    ["NT001 warning trivet:emergency", staying],
  );
});

test("says what stays with Cloudflare while it is bypassed, and that the Kubernetes API has no other way", () => {
  expect(noticesOf("hangangjari")).toContain("NT006 reminder trivet:operators");
  const direct = noticesOf("hangangjari", { values: { emergency: "direct" } });
  expect(direct).toContain("NT005 warning trivet:emergency");
  expect(direct).toContain("NT006 warning trivet:operators");
  expect(noticesOf("hangangjari", { values: { emergency: "direct", operators: ["203.0.113.7/32"] } })).not.toContain(
    "NT006 warning trivet:operators",
  );
});
