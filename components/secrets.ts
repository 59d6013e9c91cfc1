import { createHmac } from "node:crypto";
import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { SecretObject, SecretSource } from "../model/platform";

export interface SecretValuesArgs {
  /** Secret values of the stack's configuration, by name. */
  configSecrets: Readonly<Record<string, pulumi.Output<string>>>;
  /** Undefined where the edge needs none. */
  originCertificate: { certificatePem: pulumi.Input<string>; privateKeyPem: pulumi.Input<string> } | undefined;
  /** PEM of the authority that signs what Cloudflare shows to Traefik. @default none */
  originPullsAuthority?: pulumi.Input<string> | undefined;
  /** What connectors run with, of each tunnel that there is. @default none */
  tunnelTokens?: Readonly<Partial<Record<"users" | "operators", pulumi.Input<string>>>>;
}

/**
 * Where every entry of every Kubernetes Secret gets its value: from the stack's configuration, from the Origin CA, or made
 * here once and kept in the state. Charts know the names only.
 */
export class SecretValues extends pulumi.ComponentResource {
  readonly #name: string;
  readonly #args: SecretValuesArgs;
  readonly #generated = new Map<string, pulumi.Output<string>>();
  readonly #versions = new Map<string, pulumi.Output<string>>();
  readonly #versionKey: pulumi.Output<string>;

  constructor(name: string, args: SecretValuesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:secrets:SecretValues", name, {}, opts);
    this.#name = name;
    this.#args = args;
    // No RandomBytes: its id, which no state hides, is the value.
    this.#versionKey = new random.RandomPassword(
      `${name}-version-key`,
      { length: 43, special: false }, // 256 bits
      { parent: this },
    ).result;
    this.registerOutputs({});
  }

  /** Makes the Secret. Its values are secret in the state too. */
  make(object: SecretObject, opts: pulumi.CustomResourceOptions): kubernetes.core.v1.Secret {
    const entries = pulumi.secret(
      pulumi.output(
        Object.fromEntries(
          Object.entries(object.entries)
            .sort(([one], [other]) => (one < other ? -1 : 1))
            .map(([key, source]) => [key, this.#value(source)]),
        ),
      ),
    );
    this.#versions.set(`${object.namespace}/${object.name}`, this.#versionOf(entries));
    return new kubernetes.core.v1.Secret(
      `secret/${object.namespace}/${object.name}`,
      { metadata: { name: object.name, namespace: object.namespace }, type: object.type, stringData: entries },
      opts,
    );
  }

  /**
   * Changes with the content. No secret: a keyed hash, whose key never leaves the state, tells nothing about a value, however
   * short; so it may stand in an annotation and in a preview.
   */
  version(namespace: string, name: string): pulumi.Output<string> | undefined {
    return this.#versions.get(`${namespace}/${name}`);
  }

  #versionOf(entries: pulumi.Output<Record<string, string>>): pulumi.Output<string> {
    return pulumi.unsecret(
      pulumi
        .all([this.#versionKey, entries])
        .apply(([key, plain]) => createHmac("sha256", key).update(JSON.stringify(plain)).digest("hex").slice(0, 12)),
    );
  }

  #value(source: SecretSource): pulumi.Output<string> {
    switch (source.kind) {
      case "config":
        return filled(source.template, this.#configSecret(source.name));
      case "generated":
        return filled(source.template, this.#generatedValue(source.name, source.length));
      case "originCertificate": {
        const { originCertificate } = this.#args;
        return made(
          source.part === "certificate" ? originCertificate?.certificatePem : originCertificate?.privateKeyPem,
          "the Origin CA certificate",
        );
      }
      case "originPullsAuthority":
        return made(this.#args.originPullsAuthority, "the authority of origin pulls");
      case "tunnelToken":
        return made(this.#args.tunnelTokens?.[source.tunnel], `the token of the ${source.tunnel}' tunnel`);
      case "publicCertificate":
        return this.#configSecret(source.part === "certificate" ? "publicCertificate" : "publicCertificateKey");
      case "registryLogin":
        return this.#configSecret(source.passwordName).apply((password) =>
          JSON.stringify({
            auths: {
              [source.server]: {
                username: source.username,
                password,
                auth: Buffer.from(`${source.username}:${password}`).toString("base64"),
              },
            },
          }),
        );
    }
  }

  #configSecret(name: string): pulumi.Output<string> {
    const value = this.#args.configSecrets[name];
    // resolve() has already reported every missing one.
    if (value === undefined)
      throw new Error(`The stack has no secret ${name}; set it: pulumi config set --secret ${name}`);
    return value;
  }

  /** Entries with the same name share one value. */
  #generatedValue(name: string, length: number): pulumi.Output<string> {
    const known = this.#generated.get(name);
    if (known !== undefined) return known;
    const { result } = new random.RandomPassword(`${this.#name}-${name}`, { length, special: false }, { parent: this });
    this.#generated.set(name, result);
    return result;
  }
}

function made(value: pulumi.Input<string> | undefined, what: string): pulumi.Output<string> {
  if (value === undefined) throw new Error(`A Secret asks for ${what}; the edge makes none`);
  return pulumi.output(value);
}

/** As a function, because `$&` and the like in a replacement string would be expanded. */
const filled = (template: string, value: pulumi.Output<string>): pulumi.Output<string> =>
  value.apply((plain) => template.replace("{value}", () => plain));
