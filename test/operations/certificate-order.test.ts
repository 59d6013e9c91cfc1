import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { certificateProblems, type PublicCertificate } from "../../model/public-certificate";
import { resolve } from "../../model/resolve";
import { CertificateAuthority, freshKey } from "../../operations/acme";
import { orderCertificate, type OrderOptions } from "../../operations/certificate-order";
import { ChallengeRecords, zoneRefusals } from "../../operations/challenge-records";
import { caaRefusal, NameServers } from "../../operations/name-servers";
import { type AcmeServer, startAcmeServer } from "../../rehearsal/acme";
import {
  type CloudflareEmulator,
  type Permission,
  startCloudflareEmulator,
} from "../../rehearsal/emulators/cloudflare";
import { ensureTools } from "../../rehearsal/toolchain";
import honeydue from "../../stacks/honeydue";
import { HONEYDUE_SECRETS, honeydueConfig } from "../support/platform";

/** Orders at pebble, a real ACME server, which looks at the emulated zone's records over DNS. */
const DOMAIN = "honeydue.example";
const TOKEN = "trivet-certificate-token-0123456789-01234567";
const TXT = `_acme-challenge.${DOMAIN}`;

const { platform } = resolve(honeydue, {
  stack: "honeydue",
  source: "the fixture",
  values: honeydueConfig(),
  secretNames: HONEYDUE_SECRETS,
});
if (platform === undefined) throw new Error("honeydue does not resolve");

let directory: string;
let cloudflare: CloudflareEmulator;
let server: AcmeServer;
let accountKeyPem: string;
const trusted = getCACertificates("default");

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "trivet-certificate-"));
  const { pebble } = await ensureTools(["pebble"]);
  const { id, accountId } = platform.edge.zone;
  cloudflare = await startCloudflareEmulator({
    accounts: [{ id: accountId, name: "honeydue" }],
    zones: [{ id, name: DOMAIN }],
    tokens: [{ value: TOKEN }],
  });
  server = await startAcmeServer({ pebble: pebble.path, directory, zones: cloudflare.state, refusedNoncesPercent: 20 });
  setDefaultCACertificates([...trusted, server.authorityPem]);
  accountKeyPem = await freshKey();
  const authority = authorityAt(server.directoryUrl);
  expect(await authority.hasAccount()).toBe(false);
  await authority.register("ops@honeydue.example");
  expect(await authority.hasAccount()).toBe(true);
});

afterAll(async () => {
  setDefaultCACertificates(trusted);
  await server?.close();
  await cloudflare?.close();
  rmSync(directory, { recursive: true, force: true });
});

const authorityAt = (directoryUrl: string, signal = new AbortController().signal): CertificateAuthority =>
  new CertificateAuthority({ directoryUrl, accountKeyPem, signal });

interface Ordered {
  readonly certificate: PublicCertificate | undefined;
  readonly error: string | undefined;
  readonly said: readonly string[];
}

async function order({
  onSay = () => undefined,
  token = TOKEN,
  at = server.directoryUrl,
  ...parts
}: Partial<OrderOptions> & {
  onSay?: (text: string, stop: () => void) => void;
  token?: string;
  at?: string;
} = {}): Promise<Ordered> {
  const said: string[] = [];
  const controller = new AbortController();
  const { authority = authorityAt(at, controller.signal) } = parts;
  try {
    await authority.hasAccount();
    const certificate = await orderCertificate({
      platform: platform!,
      authority,
      directory: await authority.directory(),
      records: new ChallengeRecords({ baseUrl: cloudflare.baseUrl, token }, platform!),
      nameServers: [server.nameServer.address],
      signal: controller.signal,
      say: (text) => {
        said.push(text);
        onSay(text, () => controller.abort(new Error("interrupted")));
      },
      ...parts,
    });
    return { certificate, error: undefined, said };
  } catch (error) {
    return { certificate: undefined, error: (error as Error).message, said };
  }
}

const zone = () => cloudflare.state.zones[0]!;
const texts = (): string[] => zone().dnsRecords.flatMap(({ type, name }) => (type === "TXT" ? name : []));
const caa = (tag: string, value: string): void =>
  void zone().dnsRecords.push({
    ...{
      id: `${tag}-${value}`,
      name: DOMAIN,
      type: "CAA",
      content: `0 ${tag} "${value}"`,
      data: { flags: 0, tag, value },
    },
    ...{ proxied: false, ttl: 1, settings: {}, comment: null, tags: [], created_on: "", modified_on: "" },
  });

describe("an order", () => {
  test("gives a certificate of the apex and its wildcard, P-256, that ends at the authority's root; no record stays", async () => {
    const { certificate, said } = await order();
    const { pem, keyPem } = certificate!;
    const [leaf = "", intermediate = ""] = pem.match(/-----BEGIN[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
    const root = new X509Certificate(await server.rootPem());
    expect(new X509Certificate(leaf).subjectAltName?.split(", ").sort()).toEqual([`DNS:*.${DOMAIN}`, `DNS:${DOMAIN}`]);
    expect(new X509Certificate(leaf).publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
    expect(new X509Certificate(leaf).verify(new X509Certificate(intermediate).publicKey)).toBe(true);
    expect(new X509Certificate(intermediate).verify(root.publicKey)).toBe(true);
    expect(certificateProblems(platform.edge, { pem, keyPem }, new Date())).toEqual([]);
    expect(texts()).toEqual([]);
    expect(said).toEqual([
      `Ordering ${DOMAIN} and *.${DOMAIN} from ${new URL(server.directoryUrl).host}.`,
      `2 TXT records ${TXT} are made. Waiting until the name servers show them.`,
      `They are seen. ${new URL(server.directoryUrl).host} looks at them.`,
      "The TXT records are removed.",
      "The names are proved. Waiting for the certificate.",
    ]);
    // Until they were seen, and then by the authority itself.
    expect(server.nameServer.questions.filter((one) => one === `TXT ${TXT}`).length).toBeGreaterThanOrEqual(4);
  });

  test.each(["Ordering", "2 TXT records", "They are seen", "The TXT records are removed", "The names are proved"])(
    'that is interrupted at "%s" ends at once, and leaves no record',
    async (step) => {
      const before = performance.now();
      const { error } = await order({ onSay: (text, stop) => text.startsWith(step) && stop() });
      expect(error).toBe("interrupted");
      expect(performance.now() - before).toBeLessThan(20_000);
      expect(texts()).toEqual([]);
    },
  );

  test("that is interrupted between two records removes the first", async () => {
    const controller = new AbortController();
    const records = new ChallengeRecords({ baseUrl: cloudflare.baseUrl, token: TOKEN }, platform);
    const add = records.add.bind(records);
    records.add = async (value) => {
      await add(value);
      expect(texts()).toEqual([TXT]);
      controller.abort(new Error("interrupted"));
    };
    const { error, said } = await order({ records, signal: controller.signal });
    expect(error).toBe("interrupted");
    expect(said).toContain("The TXT records are removed.");
    expect(texts()).toEqual([]);
  });

  test("that loses its connection to Cloudflare says what is left, and the next one removes it and nothing else", async () => {
    zone().dnsRecords.push({
      ...{ id: "strange", name: TXT, type: "TXT", content: '"somebody else\'s"', data: {}, comment: "by hand" },
      ...{ proxied: false, ttl: 1, settings: {}, tags: [], created_on: "", modified_on: "" },
    });
    const records = "/client/v4/zones/*/dns_records";
    cloudflare.faults.add({ route: { method: "DELETE", pathPattern: `${records}/*` }, effect: "fail", status: 503 });
    const first = await order({ onSay: (text, stop) => text.startsWith("They are seen") && stop() });
    expect(first.error).toBe("interrupted");
    expect(first.said.at(-1)).toMatch(
      /^TXT records _acme-challenge\.honeydue\.example are left; the next run removes them\./,
    );
    expect(texts()).toHaveLength(3);
    const next = await order();
    expect(next.said[0]).toBe("2 TXT records of a run that was cut off are removed.");
    expect(next.certificate).toBeDefined();
    expect(zone().dnsRecords.map(({ id }) => id)).toEqual(["strange"]);
    zone().dnsRecords.pop();
  });

  test("whose record was made though the answer was lost removes it all the same", async () => {
    const route = { method: "POST", pathPattern: "/client/v4/zones/*/dns_records" };
    cloudflare.faults.add({ route, effect: "drop-after" });
    const { error } = await order();
    expect(error).toMatch(/^Cloudflare does not add a TXT record _acme-challenge\.honeydue\.example: /);
    expect(texts()).toEqual([]);
  });

  test("is refused by name where the token may not write records, and leaves none", async () => {
    const narrow = `${TOKEN.slice(0, -1)}x`;
    cloudflare.state.tokens.push({
      ...{ id: "e".repeat(32), value: narrow, status: "active", zones: "all" },
      permissions: ["zone:read", "dns:read"] as Permission[],
    });
    const { error } = await order({ token: narrow });
    expect(error).toMatch(
      /^The stack's token of Cloudflare may not add a TXT record _acme-challenge\.honeydue\.example \(403: /,
    );
    expect(error).toContain('Do: give it "Zone, DNS: Edit" for this zone');
    expect(texts()).toEqual([]);
    const { error: strange } = await order({ token: "s".repeat(40) });
    expect(strange).toMatch(/^The stack's token of Cloudflare may not look at the zone/);
  });

  test("is refused before it is placed where CAA records keep the authority out", async () => {
    const untilItIsSeen = () => new Promise((done) => setTimeout(done, 400));
    caa("issue", "pki.goog");
    await untilItIsSeen();
    const { error, said } = await order();
    expect(error).toBe(
      `The CAA records of ${DOMAIN} keep letsencrypt.org out: issue "pki.goog". Do: add letsencrypt.org to edge.zone.caa and pulumi up, or wherever the records are kept.`,
    );
    expect(said).toEqual([]);
    caa("issue", "letsencrypt.org");
    await untilItIsSeen();
    expect((await order()).certificate).toBeDefined();
    zone().dnsRecords.length = 0;
    await untilItIsSeen();
  });

  test("says what the authority saw where the record is another one", async () => {
    const { error } = await order({
      onSay: (text) => {
        if (text.startsWith("They are seen")) for (const record of zone().dnsRecords) record.content = '"wrong"';
      },
    });
    expect(error).toMatch(/ refuses: it does not see the right TXT record: honeydue\.example: Correct value not found/);
    expect(error).toMatch(/Do: look for a CNAME or an NS record at _acme-challenge/);
    expect(texts()).toEqual([]);
  });

  test("takes the place of the one that it renews; where that was done already, it is an order as any other", async () => {
    const { certificate: first } = await order();
    const window = { start: new Date("2026-12-01T00:00:00Z"), end: new Date("2026-12-03T00:00:00Z") };
    await server.suggestRenewal(first!.pem.match(/-----BEGIN[\s\S]+?-----END CERTIFICATE-----/)![0], window);
    expect(await authorityAt(server.directoryUrl).renewalWindow(first!.pem)).toEqual(window);
    const second = await order({ replaces: first!.pem });
    expect(second.error).toBeUndefined();
    const third = await order({ replaces: first!.pem });
    expect(third.error).toBeUndefined();
    expect(new Set([first!.pem, second.certificate!.pem, third.certificate!.pem]).size).toBe(3);
  });
});

describe("an authority that refuses", () => {
  let refusing: Server;
  let answer: { status: number; headers?: Record<string, string>; body: object };

  beforeAll(async () => {
    refusing = createServer((request, response) => {
      const origin = `http://${request.headers.host}`;
      const json = (status: number, body: object, headers: Record<string, string> = {}): void => {
        response.writeHead(status, { "replay-nonce": "bm9uY2U", "content-type": "application/json", ...headers });
        response.end(request.method === "HEAD" ? undefined : JSON.stringify(body));
      };
      if (request.url === "/account") json(201, { status: "valid" }, { location: `${origin}/account/1` });
      else if (request.url === "/order") json(answer.status, answer.body, answer.headers);
      else json(200, { newNonce: `${origin}/nonce`, newAccount: `${origin}/account`, newOrder: `${origin}/order` });
    });
    await new Promise<void>((done) => refusing.listen(0, "127.0.0.1", done));
  });
  afterAll(() => void refusing.close());

  const refused = async (type: string, detail: string, headers?: Record<string, string>): Promise<string> => {
    answer = { status: 429, body: { type: `urn:ietf:params:acme:error:${type}`, detail }, ...(headers && { headers }) };
    const at = `http://127.0.0.1:${(refusing.address() as AddressInfo).port}/`;
    return (await order({ at })).error ?? "none";
  };

  test("for too many orders is not asked again; when it takes the next one is said", async () => {
    const begin = performance.now();
    const text = await refused("rateLimited", "too many certificates (5) already issued for this exact set", {
      "retry-after": "Sun, 22 Nov 2026 20:04:11 GMT",
    });
    expect(text).toContain(
      "refuses: too many orders, or too many that failed: too many certificates (5) already issued",
    );
    expect(text).toContain("It takes the next try from 2026-11-22T20:04Z on. Do: wait until then");
    expect(performance.now() - begin).toBeLessThan(20_000);
    const hourly = await refused("rateLimited", "one an hour.", { "retry-after": "3600" });
    const [, at = ""] = /one an hour\. It takes the next try from (\S+) on\./.exec(hourly) ?? [];
    expect(Math.abs(Date.parse(at) - Date.now() - 3_600_000)).toBeLessThan(120_000);
    expect(await refused("rateLimited", "some day", { "retry-after": "some day" })).toContain(
      "some day. Do: wait until then",
    );
  });

  test("for CAA records, names or reasons of its own is quoted, with what to do", async () => {
    expect(await refused("caa", "CAA record for honeydue.example prevents issuance")).toContain(
      "the CAA records of the domain keep it out: CAA record for honeydue.example prevents issuance. Do: add the authority to edge.zone.caa",
    );
    expect(await refused("rejectedIdentifier", "example is a reserved name")).toContain(
      "it issues no certificates for these names",
    );
    // Of an account, not of a record.
    expect(await refused("unauthorized", "account is deactivated")).toMatch(
      / refuses \(unauthorized\): account is deactivated\.$/,
    );
    expect(await refused("unsupportedContact", "no such address")).toMatch(
      / refuses \(unsupportedContact\): no such address\.$/,
    );
  });
});

describe("what is looked at before and while", () => {
  test("is a zone that the internet asks", () => {
    const active = { name: DOMAIN, status: "active", type: "full", name_servers: ["ada.ns.example", "rob.ns.example"] };
    expect(zoneRefusals(active)).toEqual([]);
    expect(zoneRefusals({ ...active, status: "pending" })).toEqual([
      expect.stringMatching(
        /not active at Cloudflare \(pending\).*Do: name ada\.ns\.example and rob\.ns\.example as its name servers/,
      ),
    ]);
    expect(zoneRefusals({ ...active, type: "partial" })).toEqual([expect.stringContaining('a zone of type "partial"')]);
  });

  test("are name servers that answer, else which does not is said", async () => {
    const signal = new AbortController().signal;
    const servers = await NameServers.of([server.nameServer.address], []);
    await expect(servers.waitForTxt(TXT, ["x"], signal, 100)).rejects.toThrow(
      `${server.nameServer.address} has none yet. If port 53 is closed from here, --name-server HOST:PORT`,
    );
    server.nameServer.silent = true;
    try {
      await expect(servers.waitForTxt(TXT, ["x"], signal, 100)).rejects.toThrow("does not answer (ETIMEOUT)");
    } finally {
      server.nameServer.silent = false;
    }
    // The zone's own, by their names, where none is given.
    const own = await NameServers.of([], ["localhost"]);
    await expect(own.waitForTxt(TXT, ["x"], signal, 100)).rejects.toThrow(/: localhost does not answer \(E/);
    await expect(NameServers.of([], ["ns.invalid"])).rejects.toThrow(
      "name servers (ns.invalid) are not found from here",
    );
    await expect(NameServers.of(["ns.example"], [])).rejects.toThrow('"ns.example" is no address of a name server');
  });

  test.each([
    ["no record", [], true],
    ["an issuer that is it", [{ issue: "pki.goog" }, { issue: "letsencrypt.org" }], true],
    ["parameters with this way", [{ issue: "letsencrypt.org; validationmethods=dns-01,http-01" }], true],
    ["parameters without this way", [{ issue: "letsencrypt.org; validationmethods=http-01" }], false],
    ["nobody at all", [{ issue: ";" }], false],
    ["wildcards for others", [{ issue: "letsencrypt.org" }, { issuewild: "pki.goog" }], false],
    ["wildcards for it, names for others", [{ issue: "pki.goog" }, { issuewild: "letsencrypt.org" }], false],
    ["wildcards for others, names for all", [{ issuewild: ";" }], false],
  ])("are CAA records: %s", (_, records, allowed) => {
    expect(caaRefusal(DOMAIN, records, ["letsencrypt.org"]) === undefined).toBe(allowed);
  });
});
