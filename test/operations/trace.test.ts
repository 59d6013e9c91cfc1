import { execFile } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { routeUrl, walk } from "../../model/walk";
import { renderTrace, type Sighting, traced, urlOf } from "../../operations/trace";
import { REFERENCE, referencePlatform } from "../model/platforms.fixture";

const PROJECT_DIRECTORY = join(__dirname, "../..");
const plain = (_: unknown, text: string): string => text;

const printed = (name: keyof typeof REFERENCE, url: string): string =>
  renderTrace(traced(name, walk(referencePlatform(name), new URL(url))), plain);

describe("the way of a request", () => {
  test("is a line a hop, each with what stands there for this address", () => {
    expect(printed("honeydue", "https://api.honeydue.example/v1/tasks")).toMatchInlineSnapshot(`
"https://api.honeydue.example/v1/tasks (stack honeydue)

  ok    dns         A to honeydue-a, honeydue-b, honeydue-c, proxied
  ok    edge rules  Cloudflare keeps assets
  ok    firewall    443 is open to 22 ranges: Cloudflare to the origin
  ok    traefik     api.honeydue.example/ to api  (services.api.hosts[0])
  ok    policy      traefik to workload/api:8000, api.honeydue.example, honeydue.example
  ok    service     api.honeydue:8000
  ok    container   api x3 on 8000

arrives"
`);
  });

  test("behind a tunnel goes through connectors, and past Traefik where a route says so", () => {
    const straight = printed("hangangjari", "https://api.hangangjari.example/v1/home");
    expect(straight).toMatch(/^ {2}ok {4}tunnel .* \^\/v1\/home\(\/\|\$\) to http:\/\/api\.hangangjari\.svc:8000$/m);
    expect(straight).not.toContain("traefik");
    expect(printed("hangangjari", "https://api.hangangjari.example/")).toMatch(/^ {2}ok {4}traefik /m);
  });

  test("ends where the definition has it end, with the reason and what to do", () => {
    expect(printed("farm", "https://grafana.cloud.farm.example/")).toMatchInlineSnapshot(`
"https://grafana.cloud.farm.example/ (stack farm)

  FAIL  dns  nothing answers for grafana.cloud.farm.example
             a wildcard covers one level, and no record has this name
             do: name it among the hosts of the service that should answer; there are farm.example, cloud.farm.example, grafana.farm.example, www.farm.example  (services)

does not arrive: ends at dns"
`);
  });

  test.each(Object.keys(REFERENCE) as (keyof typeof REFERENCE)[])("is printed for every route of %s", (name) => {
    const platform = referencePlatform(name);
    for (const route of platform.edge.routes) {
      const text = printed(name, routeUrl(platform, route).href);
      expect(text).toContain("\n\narrives");
      expect(text).toMatch(new RegExp(`^ {2}ok {4}container +${route.service} x\\d+ on ${route.port}$`, "m"));
    }
  });
});

describe("what was seen after deploying", () => {
  const way = walk(referencePlatform("honeydue"), new URL("http://api.honeydue.example/"));
  const answer: Sighting = { verdict: "fail", says: "521", action: "look at the firewall" };
  const report = traced("honeydue", way, {
    answer,
    sightings: { dns: { verdict: "ok", says: "104.16.1.1, at Cloudflare" } },
  });

  test("stands below the hop that said it, once, and the answer below all", () => {
    const text = renderTrace(report, plain);
    expect(text.match(/now: 104\.16\.1\.1, at Cloudflare/g)).toHaveLength(1);
    expect(way.hops.filter(({ place }) => place === "dns")).toHaveLength(2);
    expect(text.endsWith("arrives, by the model\nnow, fail: 521\ndo: look at the firewall")).toBe(true);
  });
});

test.each([
  ["api.honeydue.example/v1?x=1", "https://api.honeydue.example/v1?x=1"],
  ["http://api.honeydue.example:8080", "http://api.honeydue.example:8080/"],
  ["https://api.honeydue.example./v1", "https://api.honeydue.example/v1"],
  ["https://.", undefined],
  ["ftp://api.honeydue.example", undefined],
  ["https://", undefined],
  ["two words", undefined],
])("%s is the address %s", (text, href) => expect(urlOf(text)?.href).toBe(href));

describe("trivet trace, without a Pulumi CLI,", () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "trivet-trace-"));
    copyFileSync(join(PROJECT_DIRECTORY, "stacks/Pulumi.honeydue.yaml"), join(directory, "Pulumi.staging.yaml"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const trivet = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((resolve) =>
      execFile(
        process.execPath,
        [join(PROJECT_DIRECTORY, "operations/trivet.mjs"), "trace", ...args],
        { env: { PATH: dirname(process.execPath), INIT_CWD: directory } },
        (error, stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      ),
    );

  test("finds the stack by the domain, and ends with 0", async () => {
    const { code, stdout } = await trivet("https://admin.honeydue.example/");
    expect(stdout).toMatch(/\(stack honeydue\)/);
    expect(code).toBe(0);
  });

  test("ends with 1 where the way ends early, as one document with --json", async () => {
    const { code, stdout } = await trivet(
      "https://nope.honeydue.example/",
      "--stack",
      "acme/trivet/honeydue",
      "--json",
    );
    expect(JSON.parse(stdout)).toMatchObject({
      schemaVersion: 1,
      stack: "honeydue",
      arrives: false,
      hops: [{ place: "dns", closed: { path: "services" } }],
    });
    expect(code).toBe(1);
  });

  test("reads settings from elsewhere, and refuses their mistakes as pulumi up would", async () => {
    const { code, stderr } = await trivet("api.honeydue.example", "--config-file", "Pulumi.staging.yaml");
    expect(stderr).toContain('There is no platform "staging"');
    expect(code).toBe(2);
  });

  test.each([
    [["no address"], /is no address of the web/],
    [["https://elsewhere.example/"], /No stack has a domain that elsewhere\.example belongs to/],
    [["https://api.honeydue.example/", "--stack", "honeydu"], /Did you mean "honeydue"\?/],
  ])("ends with 2 for %p", async (args, message) => {
    const { code, stdout, stderr } = await trivet(...args);
    expect(stderr).toMatch(message);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });
});
