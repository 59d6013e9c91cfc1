import { Cloud, type CloudAccess, Cloudflare } from "./cloud";
import type { Configuration } from "./stack";

const CLOUDFLARE_ENDPOINT = "https://api.cloudflare.com/client/v4";
const HETZNER_ENDPOINT = "https://api.hetzner.cloud/v1";

/** The clouds as the stack's own program reaches them (stacks/settings.ts); undefined where no token is known. */
export function cloudsOf(
  configuration: Configuration,
  environment: NodeJS.ProcessEnv,
): { readonly cloudflare: Cloudflare | undefined; readonly hetzner: Cloud | undefined } {
  const setting = settingIn(configuration, environment);
  const cloudflare = cloudflareAccess(configuration, environment);
  const hetznerToken = setting("hcloud:token", "HCLOUD_TOKEN");
  return {
    cloudflare: cloudflare && new Cloudflare(cloudflare),
    hetzner:
      hetznerToken === undefined
        ? undefined
        : new Cloud({
            baseUrl: setting("hcloud:endpoint", "HCLOUD_ENDPOINT") ?? HETZNER_ENDPOINT,
            token: hetznerToken,
          }),
  };
}

/** Secret. Undefined where no token is known. */
export function cloudflareAccess(
  configuration: Configuration,
  environment: NodeJS.ProcessEnv,
): CloudAccess | undefined {
  const setting = settingIn(configuration, environment);
  const token = setting("cloudflare:apiToken", "CLOUDFLARE_API_TOKEN");
  const baseUrl = setting("cloudflare:baseUrl", "CLOUDFLARE_BASE_URL") ?? CLOUDFLARE_ENDPOINT;
  return token === undefined ? undefined : { baseUrl, token };
}

const settingIn =
  (configuration: Configuration, environment: NodeJS.ProcessEnv) =>
  (key: string, variable: string): string | undefined =>
    textOf(configuration, key) ?? environment[variable];

/** A value of the configuration, secret or not; undefined where it is not set or empty. */
export function textOf(configuration: Configuration, key: string): string | undefined {
  const value = configuration[key]?.value;
  return value === "" ? undefined : value;
}
