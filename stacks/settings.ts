import * as pulumi from "@pulumi/pulumi";
import { type CloudApi, cloudApi } from "../components/cloud-api";
import { closest } from "../model/closest";
import type { PlatformDefinition } from "../model/definition";
import type { Platform } from "../model/platform";
import type { Problem } from "../model/problem";
import { certificateProblems } from "../model/public-certificate";
import { report, resolve } from "../model/resolve";

const NAMESPACE = "trivet";
const HETZNER_ENDPOINT = "https://api.hetzner.cloud/v1";
const CLOUDFLARE_ENDPOINT = "https://api.cloudflare.com/client/v4";

/** Exported by Pulumi, though its declarations leave it out. A key with a secret anywhere in its value counts. */
const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret(key: string): boolean };

/** What the program is to build, and what it needs beside that. */
export interface Settings {
  readonly platform: Platform;
  readonly configSecrets: Readonly<Record<string, pulumi.Output<string>>>;
  readonly hetzner: pulumi.Output<CloudApi>;
  readonly cloudflare: pulumi.Output<CloudApi>;
}

/** The only reader of the stack's configuration. Reports every mistake at once, before anything is registered. */
export function readSettings(definitions: Readonly<Record<string, PlatformDefinition>>): Settings {
  const stack = pulumi.getStack();
  const source = `stacks/Pulumi.${stack}.yaml`;
  const { values, secretNames } = readConfig();
  const { platform: name = stack, ...rest } = values;
  const definition = definitions[String(name)];
  if (definition === undefined) throw new pulumi.RunError(unknownPlatform(String(name), stack, definitions));
  const { platform, problems } = resolve(definition, { stack, source, values: rest, secretNames });
  if (problems) throw new pulumi.RunError(report(problems, source));
  const unfit = publicCertificateProblems(platform);
  if (unfit.length > 0) throw new pulumi.RunError(report(unfit, source));
  const config = new pulumi.Config(NAMESPACE);
  return {
    platform,
    configSecrets: Object.fromEntries(secretNames.map((key) => [key, config.requireSecret(key)])),
    hetzner: access("hcloud", "token", "endpoint", "HCLOUD_TOKEN", "HCLOUD_ENDPOINT", HETZNER_ENDPOINT),
    cloudflare: access(
      "cloudflare",
      "apiToken",
      "baseUrl",
      "CLOUDFLARE_API_TOKEN",
      "CLOUDFLARE_BASE_URL",
      CLOUDFLARE_ENDPOINT,
    ),
  };
}

/** Only where visitors would see it: a renewal that went wrong must not stand in the way of anything else. */
function publicCertificateProblems({ edge }: Platform): Problem[] {
  if (edge.mode !== "direct" || edge.direct.certificate === undefined) return [];
  const all = pulumi.runtime.allConfig();
  const text = (name: string): string => all[`${NAMESPACE}:${name}`] ?? "";
  const certificate = { pem: text("publicCertificate"), keyPem: text("publicCertificateKey") };
  return certificateProblems(edge, certificate, new Date());
}

/** Every key of our namespace, whether declared in Pulumi.yaml or not: one that nobody reads is a mistake worth a message. */
function readConfig(): { values: Readonly<Record<string, unknown>>; secretNames: readonly string[] } {
  const values: Record<string, unknown> = {};
  const secretNames: string[] = [];
  for (const [key, text] of Object.entries(pulumi.runtime.allConfig())) {
    if (!key.startsWith(`${NAMESPACE}:`)) continue;
    const name = key.slice(NAMESPACE.length + 1);
    if (isConfigSecret(key)) {
      secretNames.push(name);
      continue;
    }
    const value = parsed(text);
    // The "not set" of Pulumi.yaml, which has no other way to say that a key is optional.
    if (value === "" || (Array.isArray(value) && value.length === 0)) continue;
    values[name] = value;
  }
  return { values, secretNames: secretNames.sort() };
}

/**
 * Pulumi hands every value over as text, objects and lists as JSON. A text that only looks like a number stays text: an id of
 * digits must not lose its tail to floating point.
 */
export function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "string") return text; // in quotes that are its own
    return typeof value === "object" || JSON.stringify(value) === text ? value : text;
  } catch {
    return text;
  }
}

function access(
  provider: string,
  tokenKey: string,
  endpointKey: string,
  tokenVariable: string,
  endpointVariable: string,
  endpoint: string,
): pulumi.Output<CloudApi> {
  const config = new pulumi.Config(provider);
  const baseUrl = config.get(endpointKey) ?? process.env[endpointVariable] ?? endpoint;
  // Without a token the provider itself stops the run, and says how to set it.
  const token = config.getSecret(tokenKey) ?? pulumi.secret(process.env[tokenVariable] ?? "");
  return token.apply((plain) => cloudApi({ baseUrl, token: plain }));
}

function unknownPlatform(
  name: string,
  stack: string,
  definitions: Readonly<Record<string, PlatformDefinition>>,
): string {
  const known = Object.keys(definitions).sort();
  const guess = closest(name, known);
  return [
    `There is no platform ${JSON.stringify(name)}; there is: ${known.join(", ")}.`,
    ...(guess === undefined ? [] : [`Did you mean ${JSON.stringify(guess)}?`]),
    `Do: pulumi config set trivet:platform ${guess ?? known[0] ?? "<name>"} --stack ${stack}`,
  ].join(" ");
}
