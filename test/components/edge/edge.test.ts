import * as pulumi from "@pulumi/pulumi";
import { cloudOptions } from "../../../components/cloud-options";
import { Edge } from "../../../components/edge/edge";
import type { Platform } from "../../../model/platform";
import { ofType, only, type Registered, registered, secretValue } from "../../support/mocks";
import { honeyduePlatform } from "../../support/platform";

const RECORD = "cloudflare:index/dnsRecord:DnsRecord";
const SETTING = "cloudflare:index/zoneSetting:ZoneSetting";
const CERTIFICATE = "cloudflare:index/originCaCertificate:OriginCaCertificate";

const build = (platform: Platform = honeyduePlatform()): Promise<Registered[]> =>
  registered(
    () =>
      new Edge("honeydue", {
        platform,
        addresses: { a: "203.0.113.11", b: "203.0.113.12", c: "203.0.113.13" },
        installation: pulumi.output("00112233445566ff"),
        cloudOptions: cloudOptions({ deleteBeforeReplace: true, hooks: {} }),
        revokeTwins: new pulumi.ResourceHook("revoke", () => undefined),
      }),
  );

describe("the proxied edge", () => {
  test("makes a proxied record for each host and node, named by both", async () => {
    const records = ofType(await build(), RECORD);
    expect(records.map(({ name }) => name).sort()).toEqual(
      ["admin", "apex", "api", "app"].flatMap((host) => ["a", "b", "c"].map((node) => `honeydue-${host}-${node}`)),
    );
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
    expect(Object.fromEntries(settings as [string, string][])).toEqual({
      ssl: "strict",
      min_tls_version: "1.2",
      tls_1_3: "on",
      always_use_https: "on",
      automatic_https_rewrites: "on",
    });
  });

  test("asks for one certificate over all hosts, in an order that never changes", async () => {
    const all = await build();
    expect(ofType(all, CERTIFICATE)).toHaveLength(1);
    const { hostnames, requestType, requestedValidity } = ofType(all, CERTIFICATE)[0]!.inputs as {
      hostnames: string[];
      requestType: string;
      requestedValidity: number;
    };
    expect(hostnames).toEqual([...hostnames].sort());
    expect(hostnames).toContain("honeydue.example");
    expect([requestType, requestedValidity]).toEqual([
      "origin-ecc",
      honeyduePlatform().edge.originCertificate!.validityDays,
    ]);
  });

  test("signs the request with a key that is never in clear", async () => {
    const { inputs } = only(await build(), "tls:index/certRequest:CertRequest", "honeydue-origin-request");
    expect(secretValue(inputs["privateKeyPem"])).toContain("PRIVATE KEY");
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
