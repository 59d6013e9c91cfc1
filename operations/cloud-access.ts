import { Cloud, Cloudflare } from "./cloud";
import type { Configuration } from "./stack";

const CLOUDFLARE_ENDPOINT = "https://api.cloudflare.com/client/v4";
const HETZNER_ENDPOINT = "https://api.hetzner.cloud/v1";

/** The clouds as the stack's own program reaches them (stacks/settings.ts); undefined where no token is known. */
export function cloudsOf(
  configuration: Configuration,
  environment: NodeJS.ProcessEnv,
): { readonly cloudflare: Cloudflare | undefined; readonly hetzner: Cloud | undefined } {
  const setting = (key: string, variable: string): string | undefined =>
    textOf(configuration, key) ?? environment[variable];
  const cloudflareToken = setting("cloudflare:apiToken", "CLOUDFLARE_API_TOKEN");
  const hetznerToken = setting("hcloud:token", "HCLOUD_TOKEN");
  return {
    cloudflare:
      cloudflareToken === undefined
        ? undefined
        : new Cloudflare({
            baseUrl: setting("cloudflare:baseUrl", "CLOUDFLARE_BASE_URL") ?? CLOUDFLARE_ENDPOINT,
            token: cloudflareToken,
          }),
    hetzner:
      hetznerToken === undefined
        ? undefined
        : new Cloud({
            baseUrl: setting("hcloud:endpoint", "HCLOUD_ENDPOINT") ?? HETZNER_ENDPOINT,
            token: hetznerToken,
          }),
  };
}

/** A value of the configuration, secret or not; undefined where it is not set or empty. */
export function textOf(configuration: Configuration, key: string): string | undefined {
  const value = configuration[key]?.value;
  return value === "" ? undefined : value;
}
