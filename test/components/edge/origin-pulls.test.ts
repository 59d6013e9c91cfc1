import * as pulumi from "@pulumi/pulumi";
import type { CloudApi } from "../../../components/cloud-api";
import { cloudOptions } from "../../../components/cloud-options";
import { deployed, OriginPulls } from "../../../components/edge/origin-pulls";
import { only, type Registered, registered, secretValue } from "../../support/mocks";

const CERTIFICATE = "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate";
const SETTINGS = "cloudflare:index/authenticatedOriginPullsSettings:AuthenticatedOriginPullsSettings";
const NAME = "honeydue-origin-pulls";

const silent: CloudApi = { get: async () => undefined, send: async () => undefined };

const build = (handedBack = false): Promise<Registered[]> =>
  registered(
    () =>
      new OriginPulls(NAME, {
        zoneId: "zone",
        cloudflare: silent,
        cloudOptions: cloudOptions({
          deleteBeforeReplace: true,
          hooks: { onError: [new pulumi.ErrorHook("lost-answer", () => false)] },
        }),
        handedBack,
      }),
  );

describe("authenticated origin pulls", () => {
  test("show a certificate of an authority of our own, which signs nothing but clients", async () => {
    const all = await build();
    const authority = only(all, "tls:index/selfSignedCert:SelfSignedCert", `${NAME}-authority`).inputs;
    expect(authority).toMatchObject({ isCaCertificate: true, allowedUses: ["cert_signing", "crl_signing"] });
    const client = only(all, "tls:index/locallySignedCert:LocallySignedCert", `${NAME}-client`).inputs;
    expect(client["allowedUses"]).toEqual(["digital_signature", "client_auth"]);
    const shown = only(all, CERTIFICATE, `${NAME}-certificate`).inputs;
    expect(shown["zoneId"]).toBe("zone");
    expect(shown["certificate"]).toContain("CERTIFICATE");
    expect(secretValue(shown["privateKey"])).toContain("PRIVATE KEY");
  });

  test("get a new client certificate after 120 of its 365 days, and the authority lives for ten years", async () => {
    const all = await build();
    const { validityPeriodHours, earlyRenewalHours } = only(
      all,
      "tls:index/locallySignedCert:LocallySignedCert",
      `${NAME}-client`,
    ).inputs as { validityPeriodHours: number; earlyRenewalHours: number };
    expect([validityPeriodHours / 24, (validityPeriodHours - earlyRenewalHours) / 24]).toEqual([365, 120]);
    const authority = only(all, "tls:index/selfSignedCert:SelfSignedCert", `${NAME}-authority`).inputs;
    expect(authority["validityPeriodHours"]).toBe(10 * 365 * 24);
    expect(authority["earlyRenewalHours"]).toBeUndefined();
  });

  test("never leave the edge without a certificate: the new one comes first, and is awaited", async () => {
    const { options } = only(await build(), CERTIFICATE, `${NAME}-certificate`);
    expect(options.deleteBeforeReplace).toBe(false);
    expect(options.hooks.afterCreate).toEqual([`trivet-deployed-${NAME}`]);
    expect(options.hooks.onError).toEqual(["lost-answer"]);
  });

  test("are switched on", async () => {
    expect(only(await build(), SETTINGS, `${NAME}-settings`).inputs).toEqual({ zoneId: "zone", enabled: true });
  });

  test("are switched off where the zone is handed back", async () => {
    expect(only(await build(true), SETTINGS, `${NAME}-settings`).inputs).toEqual({ zoneId: "zone", enabled: false });
  });
});

describe("the wait for the edge", () => {
  const answering = (...statuses: (string | undefined)[]): CloudApi & { asked: string[] } => {
    const asked: string[] = [];
    const get = async <T>(path: string): Promise<T | undefined> => {
      asked.push(path);
      const status = statuses.length > 1 ? statuses.shift() : statuses[0];
      return (status === undefined ? undefined : { result: { status } }) as T | undefined;
    };
    return { asked, get, send: async () => undefined };
  };
  const wait = { zoneId: "zone", certificateId: "certificate", pollSeconds: 0 };

  test("ends when the certificate is active", async () => {
    const api = answering("initializing", "pending_deployment", "active");
    await deployed(api, wait);
    expect(api.asked).toEqual(Array(3).fill("/zones/zone/origin_tls_client_auth/certificate"));
  });

  test("ends at once when the certificate is on no way there", async () => {
    await expect(deployed(answering("deployment_timed_out"), wait)).rejects.toThrow(
      "will not be shown to origins: it is deployment_timed_out",
    );
    await expect(deployed(answering(undefined), wait)).rejects.toThrow("it is gone");
  });

  test("ends with what to do when it takes too long", async () => {
    await expect(deployed(answering("pending_deployment"), { ...wait, deadlineSeconds: 0 })).rejects.toThrow(
      "still pending_deployment after 0 s. Traefik does not ask for it yet; run pulumi up again",
    );
  });
});
