import { certificateProblems, certificateTerm, daysLeft, endsSoon, renewalOf } from "../../model/public-certificate";
import { report } from "../../model/resolve";
import { EdgeAuthority, type KeyPair } from "../../rehearsal/emulators/cloudflare/door/edge-authority";
import { referencePlatform } from "./platforms.fixture";

const DAY_MILLISECONDS = 86_400_000;
const { edge } = referencePlatform("honeydue");
const bypassed = referencePlatform("honeydue", { emergency: "direct" }).edge;

let authority: EdgeAuthority;
let fitting: KeyPair;
beforeAll(async () => {
  authority = await EdgeAuthority.make("an authority");
  fitting = await authority.issue("honeydue.example", ["honeydue.example", "*.honeydue.example"]);
});

const about = ({ certificate, key }: KeyPair, now = new Date(), on = edge): string[] =>
  certificateProblems(on, { pem: certificate, keyPem: key }, now).map(
    ({ code, path, reason = "" }) => `${code} ${path}: ${reason}`,
  );

const inDays = (days: number): Date => new Date(Date.now() + days * DAY_MILLISECONDS);

describe("a public certificate", () => {
  test("fits by the apex and its wildcard, from its beginning to its end", () => {
    expect(about(fitting)).toEqual([]);
    expect(about(fitting, inDays(-2))).toEqual([
      expect.stringMatching(/^CF031 trivet:publicCertificate: it begins on 20/),
    ]);
    expect(about(fitting, inDays(91))).toEqual([
      expect.stringMatching(/^CF031 trivet:publicCertificate: it has ended on 20/),
    ]);
  });

  test("that leaves out hosts which visitors reach directly does not fit, and each is named", async () => {
    const apexAlone = await authority.issue("honeydue.example", ["honeydue.example"]);
    expect(about(apexAlone)).toEqual([
      expect.stringMatching(
        /^CF031 trivet:publicCertificate: it does not name api\.honeydue\.example, app\.honeydue\.example/,
      ),
    ]);
    // A wildcard stands for one level, and not for its own parent.
    const wildcardAlone = await authority.issue("x", ["*.honeydue.example"]);
    expect(about(wildcardAlone)).toEqual(["CF031 trivet:publicCertificate: it does not name honeydue.example"]);
  });

  test("with another one's key, or in no form at all, does not fit; nothing of its value is in the message", async () => {
    const other = await authority.issue("x", ["honeydue.example", "*.honeydue.example"]);
    expect(about({ certificate: fitting.certificate, key: other.key })).toEqual([
      "CF031 trivet:publicCertificateKey: it is not the certificate's key",
    ]);
    expect(about({ certificate: fitting.certificate, key: "sentinel" })).toHaveLength(1);
    const text = report(
      certificateProblems(bypassed, { pem: "sentinel-pem", keyPem: "sentinel-key" }, new Date()),
      "here",
    );
    expect(text).toContain(
      "CF031  it is no certificate in PEM. Do: trivet certificate. If Cloudflare cannot be asked: pulumi config rm",
    );
    expect(text).not.toContain("sentinel");
  });

  test("is renewed when a third of its life is left; somebody is needed from there on, or 30 days before its end", () => {
    const term = certificateTerm(fitting.certificate)!;
    expect(Math.round((term.to.getTime() - term.from.getTime()) / DAY_MILLISECONDS)).toBe(91);
    expect(Math.round((term.to.getTime() - renewalOf(term).getTime()) / DAY_MILLISECONDS)).toBe(30);
    expect(daysLeft(term, inDays(0))).toBe(89);
    expect(daysLeft(term, inDays(91))).toBeLessThan(0);
    const lasting = (days: number) => ({ from: new Date(0), to: new Date(days * DAY_MILLISECONDS) });
    const on = (day: number): Date => new Date(day * DAY_MILLISECONDS);
    // A year's: 30 days, although it is renewed long before. A short one's: its last third.
    expect([334, 335, 336].map((day) => endsSoon(lasting(365), on(day)))).toEqual([false, true, true]);
    expect([29, 30, 31].map((day) => endsSoon(lasting(45), on(day)))).toEqual([false, true, true]);
    expect(renewalOf(lasting(45))).toEqual(on(30));
    expect(certificateTerm("sentinel")).toBeUndefined();
  });
});
