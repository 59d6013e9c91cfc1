import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { SecretValues } from "../../components/secrets";
import type { SecretObject, SecretSource } from "../../model/platform";
import { isSecret, ofType, only, registered, secretValue, valueOf } from "../support/mocks";

const SECRET = "kubernetes:core/v1:Secret";
const PASSWORD = "random:index/randomPassword:RandomPassword";

const object = (name: string, entries: Record<string, SecretSource>): SecretObject => ({
  name,
  namespace: "apps",
  type: "Opaque",
  entries,
});

const build = async (objects: readonly SecretObject[], configSecrets: Record<string, string> = {}) => {
  const versions: (pulumi.Output<string> | undefined)[] = [];
  const all = await registered(() => {
    const provider = new kubernetes.Provider("cluster", { kubeconfig: "none" });
    const values = new SecretValues("platform", {
      configSecrets: Object.fromEntries(
        Object.entries(configSecrets).map(([key, value]) => [key, pulumi.secret(value)]),
      ),
      originCertificate: { certificatePem: "CERT", privateKeyPem: pulumi.secret("KEY") },
    });
    const made = objects.map((one) => values.make(one, { provider }));
    versions.push(...objects.map(({ namespace, name }) => values.version(namespace, name)));
    return [provider, values, ...made];
  });
  const content = (name: string): Record<string, string> =>
    secretValue(only(all, SECRET, `secret/apps/${name}`).inputs["stringData"]) as Record<string, string>;
  return { all, content, versions };
};

describe("a Kubernetes Secret", () => {
  test("takes its values from the stack's configuration, and they stay secret", async () => {
    const { all, content } = await build(
      [object("api-env", { SESSION_KEY: { kind: "config", name: "sessionKey", template: "{value}" } })],
      { sessionKey: "sentinel-session" },
    );
    const { inputs } = only(all, SECRET, "secret/apps/api-env");
    expect(inputs).toMatchObject({ metadata: { name: "api-env", namespace: "apps" }, type: "Opaque" });
    expect(isSecret(inputs["stringData"])).toBe(true);
    expect(content("api-env")).toEqual({ SESSION_KEY: "sentinel-session" });
  });

  test("fills a template literally, whatever characters the value has", async () => {
    const { content } = await build(
      [object("s", { url: { kind: "config", name: "p", template: "redis://:{value}@redis:6379" } })],
      { p: "a$&b$1{value}" },
    );
    expect(content("s")["url"]).toBe("redis://:a$&b$1{value}@redis:6379");
  });

  test("shares one generated value between entries of the same name, across Secrets", async () => {
    const source: SecretSource = { kind: "generated", name: "redis", length: 40, template: "{value}" };
    const { all, content } = await build([
      object("redis", { password: source, "auth.conf": { ...source, template: "requirepass {value}\n" } }),
      object("api-env", { REDIS_PASSWORD: source }),
    ]);
    const generated = ofType(all, PASSWORD).filter(({ name }) => name !== "platform-version-key");
    expect(generated.map(({ name, inputs }) => [name, inputs])).toEqual([
      ["platform-redis", { length: 40, special: false }],
    ]);
    const value = content("redis")["password"];
    expect(content("redis")["auth.conf"]).toBe(`requirepass ${value}\n`);
    expect(content("api-env")["REDIS_PASSWORD"]).toBe(value);
  });

  test("holds a registry's login as the kubelet reads it", async () => {
    const { content } = await build(
      [
        object("registry-login", {
          ".dockerconfigjson": { kind: "registryLogin", server: "git.example", username: "puller", passwordName: "pw" },
        }),
      ],
      { pw: "s3cret" },
    );
    expect(JSON.parse(content("registry-login")[".dockerconfigjson"]!)).toEqual({
      auths: {
        "git.example": {
          username: "puller",
          password: "s3cret",
          auth: Buffer.from("puller:s3cret").toString("base64"),
        },
      },
    });
  });

  test("holds the certificate that Traefik shows to Cloudflare", async () => {
    const { content } = await build([
      object("origin", {
        "tls.crt": { kind: "originCertificate", part: "certificate" },
        "tls.key": { kind: "originCertificate", part: "privateKey" },
      }),
    ]);
    expect(content("origin")).toEqual({ "tls.crt": "CERT", "tls.key": "KEY" });
  });

  test("asks for a secret that the stack does not have by its name and command", async () => {
    await expect(build([object("s", { a: { kind: "config", name: "missing", template: "{value}" } })])).rejects.toThrow(
      "pulumi config set --secret missing",
    );
  });
});

describe("the version of a Secret", () => {
  const one = [object("s", { a: { kind: "config", name: "p", template: "{value}" } } as const)];
  const versionFor = async (value: string): Promise<string> => {
    const { versions } = await build(one, { p: value });
    return valueOf(versions[0]!);
  };

  test("changes with a value and with nothing else", async () => {
    expect(await versionFor("first")).toBe(await versionFor("first"));
    expect(await versionFor("first")).not.toBe(await versionFor("second"));
  });

  test("is not secret itself, so that a preview can show it", async () => {
    const { versions } = await build(one, { p: "sentinel" });
    expect(await pulumi.isSecret(versions[0]!)).toBe(false);
    expect(await valueOf(versions[0]!)).toMatch(/^[0-9a-f]{12}$/);
  });
});
