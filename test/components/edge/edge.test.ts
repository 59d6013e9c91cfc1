import type { Platform } from "../../../model/platform";
import { buildEdge } from "../../support/edge";
import { MOCK_START_TIME, ofType, only, type Registered, registered, secretValue } from "../../support/mocks";
import { honeyduePlatform } from "../../support/platform";

const RECORD = "cloudflare:index/dnsRecord:DnsRecord";
const SETTING = "cloudflare:index/zoneSetting:ZoneSetting";
const TUNNEL = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared";
const RULESET = "cloudflare:index/ruleset:Ruleset";
const CERTIFICATE = "cloudflare:index/originCaCertificate:OriginCaCertificate";

const build = (platform: Platform = honeyduePlatform(), handedBack = false): Promise<Registered[]> =>
  registered(() => buildEdge(platform, { handedBack }));

const strictTransport = (wanted: Record<string, unknown>) => ({
  strict_transport_security: {
    enabled: false,
    max_age: 0,
    include_subdomains: false,
    preload: false,
    nosniff: false,
    ...wanted,
  },
});

describe("the proxied edge", () => {
  test("makes a proxied record for each host and node, named by both", async () => {
    const records = ofType(await build(), RECORD);
    expect(records.map(({ name }) => name).sort()).toEqual([
      "honeydue-admin", // to the operators' tunnel
      ...["apex", "api", "app"].flatMap((host) => ["a", "b", "c"].map((node) => `honeydue-${host}-${node}`)),
      "honeydue-www-a", // for the redirect alone
    ]);
    expect(only(records, RECORD, "honeydue-apex-b").inputs).toEqual({
      zoneId: honeyduePlatform().edge.zone.id,
      name: "honeydue.example",
      type: "A",
      content: "203.0.113.12",
      proxied: true,
      ttl: 1,
      comment: "trivet 00112233445566ff",
    });
  });

  test("has Cloudflare check the origin's certificate, and browsers use TLS 1.2 or later", async () => {
    const settings = ofType(await build(), SETTING).map(({ inputs }) => [inputs["settingId"], inputs["value"]]);
    expect(Object.fromEntries(settings as [string, unknown][])).toEqual({
      ssl: "strict",
      min_tls_version: "1.2",
      tls_1_3: "on",
      always_use_https: "on",
      automatic_https_rewrites: "on",
      http3: "on",
      websockets: "on",
      security_header: strictTransport({ enabled: true, max_age: 2_592_000, nosniff: true }),
    });
  });

  test("takes HSTS back where it is not wanted, in place of leaving it as it was", async () => {
    const platform = honeyduePlatform();
    const { edge } = platform;
    const all = await build({ ...platform, edge: { ...edge, zone: { ...edge.zone, hsts: undefined, http3: false } } });
    expect(only(all, SETTING, "honeydue-security-header").inputs["value"]).toEqual(strictTransport({}));
    expect(only(all, SETTING, "honeydue-http3").inputs["value"]).toBe("off");
  });

  test("puts every setting back to what a new zone has where the zone is handed back", async () => {
    const settings = ofType(await build(honeyduePlatform(), true), SETTING);
    expect(Object.fromEntries(settings.map(({ inputs }) => [inputs["settingId"], inputs["value"]]))).toEqual({
      ssl: "full",
      min_tls_version: "1.0",
      tls_1_3: "on",
      always_use_https: "off",
      automatic_https_rewrites: "on",
      http3: "on",
      websockets: "on",
      security_header: strictTransport({}),
    });
  });

  test("asks for one certificate over all hosts that there may be, in an order that never changes", async () => {
    const all = await build();
    expect(ofType(all, CERTIFICATE)).toHaveLength(1);
    const { hostnames, requestType, requestedValidity } = ofType(all, CERTIFICATE)[0]!.inputs as {
      hostnames: string[];
      requestType: string;
      requestedValidity: number;
    };
    expect(hostnames).toEqual(["*.honeydue.example", "honeydue.example"]);
    expect([requestType, requestedValidity]).toEqual(["origin-ecc", 365]);
  });

  test("has a clock that asks for a new certificate after 120 of its 365 days, and a new key with it", async () => {
    const all = await build();
    const { validityPeriodHours, earlyRenewalHours } = only(
      all,
      "tls:index/selfSignedCert:SelfSignedCert",
      "honeydue-origin-clock",
    ).inputs as { validityPeriodHours: number; earlyRenewalHours: number };
    expect([validityPeriodHours / 24, (validityPeriodHours - earlyRenewalHours) / 24]).toEqual([365, 120]);
    const key = only(all, "tls:index/privateKey:PrivateKey", "honeydue-origin-key");
    expect(key.options.replacementTrigger).toBe(MOCK_START_TIME);
    // Which makes another request, and that another certificate.
    const request = only(all, "tls:index/certRequest:CertRequest", "honeydue-origin-request");
    expect(request.inputs["subject"]).toEqual({ commonName: "honeydue.example", serialNumber: MOCK_START_TIME });
  });

  test("makes the new certificate before the old one is revoked", async () => {
    const [certificate] = ofType(await build(), CERTIFICATE);
    expect(certificate?.options.deleteBeforeReplace).toBe(false);
    expect(certificate?.options.hooks.afterCreate).toHaveLength(1);
  });

  test("signs the request with a key that is never in clear", async () => {
    const { inputs } = only(await build(), "tls:index/certRequest:CertRequest", "honeydue-origin-request");
    expect(secretValue(inputs["privateKeyPem"])).toContain("PRIVATE KEY");
  });

  test("makes what the zone has beside hosts: rules, mail, sites and signatures", async () => {
    const platform = honeyduePlatform();
    const { edge } = platform;
    const site = { name: "docs", projectName: "honeydue-docs", branch: "main", repository: undefined };
    const all = await build({
      ...platform,
      edge: {
        ...edge,
        zone: { ...edge.zone, dnssec: true },
        sites: [{ ...site, hosts: [{ fqdn: "docs.honeydue.example", label: "docs" }] }],
        records: [
          {
            key: "mail-spf",
            fqdn: "honeydue.example",
            type: "TXT",
            content: "v=spf1 -all",
            priority: undefined,
            ttlSeconds: 1,
          },
        ],
      },
    });
    expect(only(all, RECORD, "honeydue-www-a").inputs).toMatchObject({ content: "192.0.2.1", proxied: true });
    expect(only(all, RECORD, "honeydue-record-mail-spf").inputs).toMatchObject({
      type: "TXT",
      content: '"v=spf1 -all"',
      proxied: false,
      comment: "trivet 00112233445566ff",
    });
    expect(only(all, RULESET, "honeydue-redirects").inputs).toMatchObject({
      phase: "http_request_dynamic_redirect",
      description: "trivet 00112233445566ff",
    });
    expect(only(all, RULESET, "honeydue-redirects").options.deleteBeforeReplace).toBe(true);
    expect(only(all, RECORD, "honeydue-site-docs-docs").inputs).toMatchObject({
      type: "CNAME",
      content: "honeydue-docs.pages.dev",
      proxied: true,
    });
    expect(only(all, "cloudflare:index/pagesDomain:PagesDomain", "honeydue-site-docs-docs").inputs).toEqual({
      accountId: edge.zone.accountId,
      projectName: "honeydue-docs",
      name: "docs.honeydue.example",
    });
    const signed = only(all, "cloudflare:index/zoneDnssec:ZoneDnssec", "honeydue-dnssec");
    expect(signed.inputs).toEqual({ zoneId: edge.zone.id, status: "active" });
    // Ended before the registrar's record is, they would take the domain with them.
    expect(signed.options).toMatchObject({ retainOnDelete: true });
    // Ignored, the "pending" of a refresh would come back as an input, and the provider refuses it.
    expect(signed.options.ignoreChanges ?? []).toEqual([]);
  });

  test("lets the last guard take the operators' tunnel along, unless the Kubernetes API is behind it", async () => {
    const platform = honeyduePlatform();
    const { edge } = platform;
    const protect = async (kubernetesApi: "addresses" | "access") => {
      const all = await build({ ...platform, edge: { ...edge, operators: { ...edge.operators!, kubernetesApi } } });
      return only(all, TUNNEL, "honeydue-operators-tunnel").options.protect;
    };
    expect(platform.cluster.protect).toBe(true);
    expect([await protect("addresses"), await protect("access")]).toEqual([false, true]);
  });

  test("keeps nothing of a guarded host at Cloudflare, which would give it to everybody", async () => {
    expect(only(await build(), RULESET, "honeydue-cache").inputs["rules"]).toEqual([
      {
        ref: "cache-1",
        description: "Nothing is kept",
        enabled: true,
        expression: 'http.host eq "admin.honeydue.example"',
        action: "set_cache_settings",
        actionParameters: { cache: false },
      },
    ]);
  });

  test("needs no certificate where Cloudflare speaks plain HTTP to the origin", async () => {
    const platform = honeyduePlatform();
    const flexible: Platform = {
      ...platform,
      edge: { ...platform.edge, tls: "flexible", originCertificate: undefined, originPort: 80 },
    };
    const all = await build(flexible);
    expect(ofType(all, CERTIFICATE)).toEqual([]);
    expect(only(all, SETTING, "honeydue-ssl").inputs["value"]).toBe("flexible");
  });
});
