import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { SETTING_NAMES } from "../../model/settings";
import { EdgeAuthority } from "../../rehearsal/emulators/cloudflare/door/edge-authority";
import honeydue from "../../stacks/honeydue";
import { parsed, readSettings } from "../../stacks/settings";
import { valueOf } from "../support/mocks";
import { HONEYDUE_SECRETS, honeydueConfig } from "../support/platform";

const asText = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

/** Reads settings as the program does, from what the engine hands over: text, and the names of the secrets. */
async function read(
  changes: Readonly<Record<string, unknown>> = {},
  {
    stack = "honeydue",
    secrets = HONEYDUE_SECRETS,
    plain = {},
  }: { stack?: string; secrets?: readonly string[]; plain?: Readonly<Record<string, string>> } = {},
) {
  const values = { ...honeydueConfig(), ...changes };
  await pulumi.runtime.setMocks(
    { call: () => ({}), newResource: ({ inputs }) => ({ id: "1", state: inputs as object }) },
    "trivet",
    stack,
  );
  pulumi.runtime.setAllConfig(
    {
      "hcloud:token": "t".repeat(64),
      ...Object.fromEntries(
        Object.entries(values)
          .filter(([, value]) => value !== undefined)
          .map(([key, value]) => [`trivet:${key}`, asText(value)]),
      ),
      ...Object.fromEntries(secrets.map((name) => [`trivet:${name}`, plain[name] ?? `sentinel-${name}`])),
    },
    ["hcloud:token", ...secrets.map((name) => `trivet:${name}`)],
  );
  return readSettings({ honeydue });
}

const problems = async (...args: Parameters<typeof read>): Promise<string> =>
  read(...args).then(
    () => "none",
    (error: Error) => {
      expect(pulumi.RunError.isInstance(error)).toBe(true); // the command line prints it without a stack
      return error.message;
    },
  );

describe("the stack's settings", () => {
  test("give the whole platform, and its secrets as secrets", async () => {
    const { platform, configSecrets } = await read();
    expect(platform.name).toBe("honeydue");
    expect(platform.cluster.kubernetesApiAllowedCidrs).toEqual(["203.0.113.7/32", "198.51.100.0/28"]);
    expect(Object.keys(configSecrets).sort()).toEqual([...HONEYDUE_SECRETS].sort());
    const { sessionKey } = configSecrets;
    expect(await pulumi.isSecret(sessionKey!)).toBe(true);
    expect(await valueOf(sessionKey!)).toBe("sentinel-sessionKey");
  });

  test("take the platform of the stack's name, or the one that is named", async () => {
    const { platform } = await read({ platform: "honeydue" }, { stack: "trial" });
    expect([platform.name, platform.stack]).toEqual(["honeydue", "trial"]);
  });

  test("name the platforms there are when the stack's is none of them", async () => {
    expect(await problems({}, { stack: "honydue" })).toBe(
      'There is no platform "honydue"; there is: honeydue. Did you mean "honeydue"? ' +
        "Do: pulumi config set trivet:platform honeydue --stack honydue",
    );
  });

  test("report every mistake at once, with the file to look in", async () => {
    const text = await problems({ operators: ["0.0.0.0/0"], serverType: "cx32", tunel: "x" }, { secrets: [] });
    expect(text).toMatch(/^stacks\/Pulumi\.honeydue\.yaml: \d+ problems, nothing was created or changed\n/);
    for (const path of ["trivet:operators[0]", "trivet:serverType", "trivet:tunel", "trivet:sessionKey"]) {
      expect(text).toContain(path);
    }
  });

  test("are all declared in Pulumi.yaml, where every default means the same as not set", async () => {
    const { config } = parse(readFileSync(join(__dirname, "../../Pulumi.yaml"), "utf8")) as {
      config: Record<string, { type: string; default: unknown; description: string }>;
    };
    const declared = Object.keys(config).map((key) => key.replace("trivet:", ""));
    expect(declared.sort()).toEqual(["platform", ...SETTING_NAMES].sort());
    const defaults = Object.fromEntries(
      Object.entries(config).map(([key, setting]) => [key.replace("trivet:", ""), setting.default]),
    );
    // As the engine hands them over: what the stack says stands over them.
    expect((await read({ ...defaults, ...honeydueConfig() })).platform).toEqual((await read()).platform);
    expect(await problems({ ...defaults, ...honeydueConfig(), operators: defaults["operators"] })).toContain(
      "trivet:operators",
    );
  });

  test("change the cluster: pools, kernel, revisions and snapshots arrive as objects", async () => {
    expect((await read()).platform.cluster.ipv6).toBe(false);
    const { platform } = await read({
      ipv6: true,
      pools: { general: 2 },
      kernel: { "vm.swappiness": 10 },
      revisions: { b: 2 },
      snapshots: { endpoint: "127.0.0.1:9000", insecure: true },
      k3s: "v1.36.3+k3s1",
    });
    const { agents, servers, kernel, snapshots, k3s } = platform.cluster;
    expect(agents.map(({ hostname }) => hostname)).toEqual(["honeydue-general-1", "honeydue-general-2"]);
    expect([kernel["vm.swappiness"], servers[1]?.revision, k3s.version]).toEqual(["10", 2, "v1.36.3+k3s1"]);
    expect([snapshots?.endpoint, snapshots?.insecure]).toEqual(["127.0.0.1:9000", true]);
    expect(platform.cluster.ipv6).toBe(true);
    expect(await problems({ ipv6: "yes" })).toContain(
      'trivet:ipv6  SE003  got "yes"; allowed: a value of type boolean',
    );
  });

  test("never print a secret, not even in the report of a mistake", async () => {
    expect(await problems({ serverType: "nope" }, { secrets: [...HONEYDUE_SECRETS, "surplus"] })).not.toContain(
      "sentinel-",
    );
  });

  test("are refused in an emergency whose certificate would not serve (CF031), and not otherwise", async () => {
    const authority = await EdgeAuthority.make("an authority");
    const names = ["honeydue.example", "*.honeydue.example"];
    const [mine, other] = [await authority.issue("x", names), await authority.issue("x", names)];
    const secrets = [...HONEYDUE_SECRETS, "publicCertificate", "publicCertificateKey"];
    const report = (emergency: string, keyPem: string): Promise<string> =>
      problems(
        { emergency },
        { secrets, plain: { publicCertificate: mine.certificate, publicCertificateKey: keyPem } },
      );
    expect(await report("direct", mine.key)).toBe("none");
    expect(await report("off", other.key)).toBe("none");
    const refused = await report("direct", other.key);
    expect(refused).toMatch(/^stacks\/Pulumi\.honeydue\.yaml: 1 problem, nothing was created or changed\n/);
    expect(refused).toContain(
      "trivet:publicCertificateKey  CF031  it is not the certificate's key. Do: trivet certificate.",
    );
    expect(refused).not.toMatch(/BEGIN|KEY-----/);
  });

  test("refuse a plain setting that was stored as a secret, and say so", async () => {
    expect(await problems({ generation: undefined }, { secrets: [...HONEYDUE_SECRETS, "generation"] })).toContain(
      "trivet:generation",
    );
  });
});

test.each<[string, unknown]>([
  ["2", 2],
  ["true", true],
  ['["203.0.113.7/32"]', ["203.0.113.7/32"]],
  ['{"api":"x"}', { api: "x" }],
  ["nbg1", "nbg1"],
  ["007", "007"],
  ["12345678901234567890123456789012", "12345678901234567890123456789012"],
  ["1e3", "1e3"],
  ['"quoted"', '"quoted"'],
  ["", ""],
])("the text %s of the engine means %j", (text, value) => {
  expect(parsed(text)).toEqual(value);
});
