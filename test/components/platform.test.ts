import * as pulumi from "@pulumi/pulumi";
import { charts } from "../../components/charts";
import type { CloudApi } from "../../components/cloud-api";
import { Platform } from "../../components/platform";
import { report, resolve } from "../../model/resolve";
import { tunnelled, tunnelledSettings } from "../rules/platforms.fixture";
import {
  isSecret,
  ofType,
  only,
  type Registered,
  registered,
  type RegisteredOptions,
  secretValue,
} from "../support/mocks";
import honeydue from "../../stacks/honeydue";
import { HONEYDUE_SECRETS, honeydueConfig, honeyduePlatform } from "../support/platform";

const noApi: CloudApi = {
  get: () => Promise.reject(new Error("a preview asks no cloud")),
  send: () => Promise.reject(new Error("a preview tells no cloud")),
};

const build = (options?: RegisteredOptions): Promise<Registered[]> =>
  registered(
    () =>
      new Platform("honeydue", {
        platform: honeyduePlatform(),
        configSecrets: Object.fromEntries(
          HONEYDUE_SECRETS.map((name) => [name, pulumi.secret(`sentinel-${name}-4711`)]),
        ),
        hetzner: noApi,
        cloudflare: noApi,
      }),
    options,
  );

/** Some four hundred resources, several times; 2 s on a machine that does nothing else. */
/** Every string in a value that no secret wraps. */
function clearTexts(value: unknown): string[] {
  if (isSecret(value)) return [];
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(clearTexts);
}

describe("the whole honeyDue platform", () => {
  let all: Registered[];
  beforeAll(async () => {
    all = await build();
  });

  test("makes every object of its charts and every Secret they name, and no other Kubernetes object", () => {
    const made = all.filter(({ type }) => type.startsWith("kubernetes:")).map(({ name }) => name);
    const secrets = honeyduePlatform().secrets.map(({ namespace, name }) => `secret/${namespace}/${name}`);
    // The cluster's own: what CI may read (two), where snapshots go, and what is written beside them.
    const own = ["honeydue-ci", "honeydue-ci", "honeydue-etcd-snapshots", "honeydue-etcd-snapshot-metadata"];
    expect(made).toHaveLength(charts(honeyduePlatform()).length + secrets.length + own.length);
    expect(made).toEqual(expect.arrayContaining(own));
    expect(made).toEqual(expect.arrayContaining(secrets));
  });

  test("shows no planted secret and no generated one in clear, in any input of any resource", () => {
    const clear = all.flatMap(({ type, name, inputs }) =>
      clearTexts(inputs)
        .filter((text) => /sentinel-|password-of-|PRIVATE KEY|::server:/.test(text))
        .map((text) => `${type} ${name}: ${text.slice(0, 40)}`),
    );
    expect(clear).toEqual([]);
  });

  test("uses every secret of the configuration", () => {
    const text = JSON.stringify(ofType(all, "kubernetes:core/v1:Secret").map(({ inputs }) => inputs));
    expect(
      HONEYDUE_SECRETS.filter((name) => name !== "registryPassword" && !text.includes(`sentinel-${name}-4711`)),
    ).toEqual([]);
  });

  test("marks what it makes at both clouds with the same random value of this state", () => {
    const { hex } = { hex: "00112233445566ff" };
    const marked = all.filter(({ type }) => type.startsWith("hcloud:") && !type.includes("networkSubnet"));
    for (const { name, inputs } of marked) {
      expect([name, (inputs["labels"] as Record<string, string>)["installation"]]).toEqual([name, hex]);
    }
    for (const { inputs } of ofType(all, "cloudflare:index/dnsRecord:DnsRecord")) {
      expect(inputs["comment"]).toBe(`trivet ${hex}`);
    }
  });

  test("has no hook for a delete: with one the engine would refuse a plain `pulumi destroy`, which runs no program", () => {
    const hooks = all.flatMap(({ options }) => [...options.hooks.beforeDelete, ...options.hooks.afterDelete]);
    expect(hooks).toEqual([]);
    expect(all.flatMap(({ options }) => options.hooks.onError).length).toBeGreaterThan(0);
  });

  test("puts each part's resources under its component, and keeps arguments out of the state", () => {
    const components = all.filter(({ type }) => type.startsWith("trivet:"));
    expect(components.map(({ type }) => type).sort()).toEqual([
      "trivet:cluster:Certificates",
      "trivet:cluster:Cluster",
      "trivet:connectors:Connectors",
      "trivet:edge:Access",
      "trivet:edge:Edge",
      "trivet:edge:OriginCertificate",
      "trivet:edge:OriginPulls",
      "trivet:edge:Tunnel",
      "trivet:ingress:Ingress",
      "trivet:metrics:Metrics",
      "trivet:platform:Platform",
      "trivet:policies:Policies",
      "trivet:secrets:SecretValues",
      "trivet:stores:Stores",
      "trivet:workloads:Workloads",
    ]);
    for (const { type, inputs } of components) expect([type, inputs]).toEqual([type, {}]);
    for (const { type, name, parent } of all.filter((one) => one.type !== "trivet:platform:Platform")) {
      expect([type, name, parent]).toEqual([type, name, expect.stringMatching(/^trivet:/)]);
    }
    const parentOf = (type: string, name: string): string | undefined => only(all, type, name).parent;
    expect(parentOf("kubernetes:apps/v1:Deployment", "deployment/honeydue/api")).toBe("trivet:workloads:Workloads");
    expect(parentOf("kubernetes:core/v1:Secret", "secret/honeydue/redis-queue-password")).toBe("trivet:stores:Stores");
    expect(parentOf("kubernetes:core/v1:Secret", "secret/ingress/origin-certificate")).toBe("trivet:ingress:Ingress");
    expect(parentOf("kubernetes:core/v1:Secret", "secret/honeydue/vmagent-remote-write")).toBe(
      "trivet:metrics:Metrics",
    );
  });

  test("starts pods anew when a Secret they read has changed", () => {
    const { spec } = only(all, "kubernetes:apps/v1:Deployment", "deployment/honeydue/api").inputs as {
      spec: { template: { metadata: { annotations: Record<string, string> } } };
    };
    expect(spec.template.metadata.annotations["trivet/secrets"]).toMatch(/^[0-9a-f]{12}(-[0-9a-f]{12})*$/);
  });

  test("plans the same resources when nothing exists yet and nothing is known", async () => {
    const planned = await build({ unknown: true });
    const names = (list: readonly Registered[]): string[] => list.map(({ type, name }) => `${type} ${name}`).sort();
    expect(names(planned)).toEqual(names(all));
  });
});

describe("a whole platform behind a tunnel", () => {
  let all: Registered[];
  beforeAll(async () => {
    const { platform, problems } = resolve(tunnelled, tunnelledSettings);
    if (problems) throw new Error(report(problems, "the fixture"));
    const configSecrets = { metricsToken: pulumi.secret("sentinel-metricsToken-4711") };
    all = await registered(
      () => new Platform("tunnelled", { platform, configSecrets, hetzner: noApi, cloudflare: noApi }),
    );
  });

  test("opens no port to Cloudflare, and asks for no certificate", () => {
    const firewalls = ofType(all, "hcloud:index/firewall:Firewall");
    const ports = firewalls.flatMap(({ inputs }) => (inputs["rules"] as { port: string }[]).map(({ port }) => port));
    expect(ports).toEqual(["6443"]); // the operators', by their addresses
    expect(all.filter(({ type }) => /originCaCertificate|OriginPulls/i.test(type))).toEqual([]);
  });

  test("gives each tunnel's connectors their own token, as Secrets in their own namespace", () => {
    const secrets = ofType(all, "kubernetes:core/v1:Secret").filter(
      ({ inputs }) => (inputs["metadata"] as { namespace: string }).namespace === "edge",
    );
    expect(secrets.map(({ name, parent }) => [name, parent])).toEqual([
      ["secret/edge/tunnel-token", "trivet:connectors:Connectors"],
      ["secret/edge/operators-tunnel-token", "trivet:connectors:Connectors"],
    ]);
    const tokens = secrets.map(({ inputs }) => (secretValue(inputs["stringData"]) as { token: string }).token);
    expect(new Set(tokens).size).toBe(2);
    const connectors = ofType(all, "kubernetes:apps/v1:Deployment").filter(({ name }) => name.includes("connector"));
    expect(connectors.map(({ parent }) => parent)).toEqual(Array(2).fill("trivet:connectors:Connectors"));
  });

  test("leads users' names to one tunnel and operators' to the other", () => {
    const records = ofType(all, "cloudflare:index/dnsRecord:DnsRecord");
    const contents = Object.fromEntries(records.map(({ inputs }) => [inputs["name"], inputs["content"]]));
    const { "admin.tunnelled.example": operators, ...users } = contents;
    expect(operators).toMatch(/\.cfargotunnel\.com$/);
    expect(new Set(Object.values(users)).size).toBe(1);
    expect(Object.values(users)[0]).not.toBe(operators);
    expect(records.every(({ inputs }) => inputs["type"] === "CNAME" && inputs["proxied"] === true)).toBe(true);
  });

  test("shows no token in clear", () => {
    const clear = all.flatMap(({ inputs }) => clearTexts(inputs)).filter((text) => text.startsWith("eyJhIjo"));
    expect(clear).toEqual([]);
    expect(JSON.stringify(all.map(({ inputs }) => inputs))).toContain("eyJhIjo");
  });
});

describe("the whole honeyDue platform with IPv6", () => {
  const SERVER = "hcloud:index/server:Server";
  const RECORD = "cloudflare:index/dnsRecord:DnsRecord";
  const made = (emergency: string): Promise<Registered[]> => {
    const { platform, problems } = resolve(honeydue, {
      stack: "honeydue",
      source: "stacks/Pulumi.honeydue.yaml",
      values: { ...honeydueConfig(), ipv6: true, emergency },
      secretNames: HONEYDUE_SECRETS,
    });
    if (problems) throw new Error(report(problems, "the fixture"));
    const configSecrets = Object.fromEntries(HONEYDUE_SECRETS.map((name) => [name, pulumi.secret("sentinel-4711")]));
    return registered(() => new Platform("honeydue", { platform, configSecrets, hetzner: noApi, cloudflare: noApi }));
  };

  test.each(["off", "direct"])(
    "leads names to both addresses of every server, and lets no server wait for a name that waits for it (emergency %s)",
    async (emergency) => {
      const all = await made(emergency);
      const six = all.filter(({ type, inputs }) => type === RECORD && inputs["type"] === "AAAA");
      const four = all.filter(
        ({ type, inputs }) => type === RECORD && inputs["type"] === "A" && inputs["content"] !== "192.0.2.1",
      );
      expect(six).toHaveLength(four.length);
      for (const { name, inputs, options } of six) {
        expect([name, inputs["content"], inputs["proxied"]]).toEqual([
          name,
          expect.stringMatching(/^2001:db8:0:\d+::1$/),
          emergency === "off",
        ]);
        // The engine would make the record anew with the server.
        expect(options.dependsOn.join(" ")).not.toContain(SERVER);
      }
      const firewall = only(all, "hcloud:index/firewall:Firewall", "honeydue-firewall");
      expect(firewall.options.dependsOn.join(" ")).not.toContain("-ipv6");
    },
  );
});

describe("the whole honeyDue platform while Cloudflare is bypassed", () => {
  const certificate = ["publicCertificate", "publicCertificateKey"];
  const platformOf = (emergency: string) => {
    const { platform, problems } = resolve(honeydue, {
      stack: "honeydue",
      source: "stacks/Pulumi.honeydue.yaml",
      values: { ...honeydueConfig(), emergency },
      secretNames: [...HONEYDUE_SECRETS, ...certificate],
    });
    if (problems) throw new Error(report(problems, "the fixture"));
    return platform;
  };
  const RECORD = "cloudflare:index/dnsRecord:DnsRecord";
  const FIREWALL = "hcloud:index/firewall:Firewall";
  const made = async (emergency: string): Promise<{ records: Registered[]; firewall: Registered }> => {
    const platform = platformOf(emergency);
    const configSecrets = Object.fromEntries(
      [...HONEYDUE_SECRETS, ...certificate].map((name) => [name, pulumi.secret(`sentinel-${name}-4711`)]),
    );
    const all = await registered(
      () => new Platform("honeydue", { platform, configSecrets, hetzner: noApi, cloudflare: noApi }),
    );
    return { records: ofType(all, RECORD), firewall: only(all, FIREWALL, "honeydue-firewall") };
  };

  const awaitedBy = ({ options }: Registered): string[] =>
    options.dependsOn.flatMap((urn) => (urn.includes(RECORD) ? urn.split("::").slice(-1) : [])).sort();

  test("leads names to the servers only when the firewall is open and Traefik takes visitors", async () => {
    const { records, firewall } = await made("direct");
    expect(awaitedBy(firewall)).toEqual([]);
    const [stays] = records.filter(({ inputs }) => inputs["proxied"] === true);
    expect(stays?.name).toBe("honeydue-admin"); // guarded: Access alone lets in
    for (const { inputs, options } of records.filter((record) => record !== stays)) {
      expect(inputs["proxied"]).toBe(false);
      const waitsFor = options.dependsOn.join(" ");
      expect(waitsFor).toContain(`${FIREWALL}::honeydue-firewall`);
      expect(waitsFor).toMatch(/DaemonSet::\S*traefik/);
    }
  });

  test("shuts the servers, on the way back, only when every name leads to Cloudflare again", async () => {
    const { records, firewall } = await made("off");
    const names = records.map(({ name }) => name);
    expect(awaitedBy(firewall)).toEqual([...names].sort());
    for (const { inputs, options } of records) {
      expect(inputs["proxied"]).toBe(true);
      expect(options.dependsOn.join(" ")).not.toMatch(/firewall|DaemonSet/i);
    }
  });
});

describe("a platform behind a tunnel, while Cloudflare is bypassed", () => {
  const RULES = "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig";
  const waitsFor = async (emergency: string, rules: string): Promise<string> => {
    const { platform, problems } = resolve(tunnelled, {
      ...tunnelledSettings,
      values: { ...tunnelledSettings.values, emergency },
    });
    if (problems) throw new Error(report(problems, "the fixture"));
    const configSecrets = Object.fromEntries(
      tunnelledSettings.secretNames.map((name) => [name, pulumi.secret(`sentinel-${name}-4711`)]),
    );
    const all = await registered(
      () => new Platform("tunnelled", { platform, configSecrets, hetzner: noApi, cloudflare: noApi }),
    );
    return only(all, RULES, rules).options.dependsOn.join(" ");
  };

  test("changes the users' rules after the servers take visitors: Cloudflare's API may be away, and then a run ends there", async () => {
    const users = await waitsFor("direct", "tunnelled-tunnel-config");
    expect(users).toContain("hcloud:index/firewall:Firewall::tunnelled-firewall");
    expect(users).toMatch(/DaemonSet::\S*traefik-direct/);
    expect(await waitsFor("direct", "tunnelled-operators-tunnel-config")).not.toMatch(/firewall|DaemonSet/i);
  });

  test("else makes nothing wait", async () => {
    expect(await waitsFor("off", "tunnelled-tunnel-config")).not.toMatch(/firewall|DaemonSet/i);
  });
});
