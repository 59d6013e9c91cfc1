import type {
  CheckFailure,
  CheckResult,
  ConfigCall,
  DiffResult,
  PropertyMap,
  PropertyValue,
} from "../protocol/provider";
import { Secret, UNKNOWN } from "../protocol/provider";
import { sameValue, secret } from "../protocol/values";
import type { ClientOptions } from "./client";

const SECRETS = ["apiToken", "apiKey", "apiUserServiceKey"] as const;
const KNOWN = new Set<string>([
  ...SECRETS,
  "email",
  "baseUrl",
  "userAgentOperatorSuffix",
  "version",
  "pluginDownloadURL",
]);
const DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4";

/** As the real provider: a token or key of the right characters and length, an e-mail address beside a key, nothing else unknown. */
export function checkConfig({ news, urn }: ConfigCall): CheckResult {
  const failures: CheckFailure[] = [];
  const say = (key: string, text: string) =>
    failures.push({
      property: "",
      reason: `could not validate provider configuration: ${text}. Examine values at '${nameOf(urn)}.${key}'.`,
    });
  for (const key of Object.keys(news)) if (!KNOWN.has(key)) say(key, "Invalid or unknown key");
  const [token, key, email] = [known(news["apiToken"]), known(news["apiKey"]), known(news["email"])];
  if (token !== undefined && !/[A-Za-z0-9_-]{40,}/.test(token))
    say(
      "apiToken",
      "Invalid Attribute Value. Attribute api_token API tokens must only contain characters a-z, A-Z, 0-9, hyphens and underscores",
    );
  if (key !== undefined && !/[A-Za-z0-9_-]{37,}/.test(key))
    say(
      "apiKey",
      "Invalid Attribute Value. Attribute api_key API key must only contain characters 0-9, a-z, A-Z, hyphens and underscores",
    );
  if (key !== undefined && email === undefined && news["email"] !== UNKNOWN)
    say("apiKey", 'Invalid Attribute Combination. Attribute "email" must be specified when "api_key" is specified');

  const inputs: Record<string, PropertyValue> = { ...news };
  for (const name of SECRETS) {
    const value = inputs[name];
    if (value !== undefined && value !== UNKNOWN) inputs[name] = secret(value === null ? "" : value);
  }
  return { inputs, failures };
}

/** Nothing replaces a provider of this kind; it cannot even say that nothing changed. */
export function diffConfig({ olds, news }: ConfigCall): DiffResult {
  const detailed: Record<string, { kind: "add" | "delete" | "update"; inputDiff: true }> = {};
  for (const key of new Set([...Object.keys(olds), ...Object.keys(news)])) {
    const before = olds[key];
    const after = news[key];
    if (sameValue(before, after) || (after instanceof Secret ? after.value : after) === UNKNOWN) continue;
    detailed[key] = { kind: before === undefined ? "add" : after === undefined ? "delete" : "update", inputDiff: true };
  }
  return {
    changes: "unknown",
    ...(Object.keys(detailed).length > 0 && { detailedDiff: detailed, diffs: Object.keys(detailed) }),
  };
}

/** What the provider is given wins over the environment. */
export function clientOptions(args: PropertyMap, environment: NodeJS.ProcessEnv): ClientOptions {
  const pick = (name: string, variable: string): string | undefined =>
    known(args[name]) || environment[variable] || undefined;
  const apiToken = pick("apiToken", "CLOUDFLARE_API_TOKEN");
  const apiKey = pick("apiKey", "CLOUDFLARE_API_KEY");
  const email = pick("email", "CLOUDFLARE_EMAIL");
  const apiUserServiceKey = pick("apiUserServiceKey", "CLOUDFLARE_API_USER_SERVICE_KEY");
  return {
    baseUrl: pick("baseUrl", "CLOUDFLARE_BASE_URL") ?? DEFAULT_BASE_URL,
    ...(apiToken && { apiToken }),
    ...(apiKey && { apiKey }),
    ...(email && { email }),
    ...(apiUserServiceKey && { apiUserServiceKey }),
  };
}

const nameOf = (urn: string): string => urn.split("::").at(-1) ?? urn;

function known(value: PropertyValue | undefined): string | undefined {
  if (value instanceof Secret) return known(value.value);
  return value === undefined || value === null || value === UNKNOWN ? undefined : String(value);
}
