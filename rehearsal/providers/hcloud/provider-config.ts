import {
  type CheckFailure,
  type CheckResult,
  type DiffKind,
  type DiffResult,
  type PropertyMap,
  type PropertyValue,
  Secret,
  UNKNOWN,
} from "../protocol/provider";
import { withoutSecrets } from "../protocol/values";
import type { ClientOptions } from "./client";
import { given } from "./schema";

const TOKEN_LENGTH = 64;
const POLL_FUNCTIONS = ["constant", "exponential"] as const;
const KEYS = ["token", "endpoint", "endpointHetzner", "pollInterval", "pollFunction", "version", "pluginDownloadURL"];
const DEFAULT_ENDPOINT = "https://api.hetzner.cloud/v1";
const DEFAULT_POLL_INTERVAL = "500ms";

export function checkConfig(name: string, news: PropertyMap): CheckResult {
  const failures: CheckFailure[] = [];
  const fail = (key: string, reason: string) =>
    failures.push({
      property: "",
      reason: `could not validate provider configuration: ${reason}. Examine values at '${name}.${key}'.`,
    });
  const inputs: Record<string, PropertyValue> = {};
  for (const [key, value] of Object.entries(news)) {
    if (!KEYS.includes(key)) fail(key, "Invalid or unknown key");
    inputs[key] = typeof value === "number" || typeof value === "boolean" ? String(value) : value;
  }
  const { token, pollFunction } = withoutSecrets(inputs);
  if (given(token) && token !== UNKNOWN && String(token).length !== TOKEN_LENGTH) {
    fail("token", `entered token is invalid (must be exactly ${TOKEN_LENGTH} characters long)`);
  }
  if (typeof pollFunction === "string" && !(POLL_FUNCTIONS as readonly string[]).includes(pollFunction)) {
    const allowed = `["constant" "exponential"]`;
    fail(
      "pollFunction",
      `Invalid Attribute Value Match. Attribute poll_function value must be one of: ${allowed}, got: "${pollFunction}"`,
    );
    fail("pollFunction", `expected poll_function to be one of ${allowed}, got ${pollFunction}`);
  }
  if ("token" in inputs && inputs["token"] !== UNKNOWN && failures.length === 0) {
    inputs["token"] = new Secret(token === null ? "" : (token ?? ""));
  }
  return { inputs, failures };
}

/** Nothing replaces the provider; where nothing changed the real one does not know either. */
export function diffConfig(olds: PropertyMap, news: PropertyMap): DiffResult {
  const [before, after] = [withoutSecrets(olds), withoutSecrets(news)];
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((key) => !key.startsWith("__"));
  if (keys.some((key) => after[key] === UNKNOWN)) return { changes: "unknown" };
  const changed = keys.filter((key) => before[key] !== after[key]);
  if (changed.length === 0) return { changes: "unknown" };
  const kindOf = (key: string): DiffKind => (!given(before[key]) ? "add" : !given(after[key]) ? "delete" : "update");
  return {
    changes: "some",
    diffs: changed,
    detailedDiff: Object.fromEntries(changed.map((key) => [key, { kind: kindOf(key), inputDiff: true }])),
  };
}

/** Provider inputs first, then the environment. */
export function clientOptions(
  args: PropertyMap,
  environment: NodeJS.ProcessEnv,
): Omit<ClientOptions, "retryBaseMilliseconds"> {
  const config = withoutSecrets(args);
  const text = (key: string, variable?: string): string | undefined => {
    const value = config[key];
    if (typeof value === "string" && value !== "") return value;
    const fromEnvironment = variable === undefined ? undefined : environment[variable];
    return fromEnvironment === "" ? undefined : fromEnvironment;
  };
  const token = text("token", "HCLOUD_TOKEN");
  if (token === undefined) {
    throw new Error(
      `[AttributeName("token")] Missing Hetzner Cloud API token: While configuring the provider, the Hetzner Cloud API token was not found ` +
        `in the HCLOUD_TOKEN environment variable or provider configuration block token attribute.`,
    );
  }
  return {
    token,
    endpoint: (text("endpoint", "HCLOUD_ENDPOINT") ?? DEFAULT_ENDPOINT).replace(/\/$/, ""),
    pollIntervalMilliseconds: milliseconds(text("pollInterval") ?? DEFAULT_POLL_INTERVAL),
    pollFunction: text("pollFunction") === "constant" ? "constant" : "exponential",
  };
}

const UNIT_MILLISECONDS: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** A duration as Go writes it: `500ms`, `1m30s`. */
function milliseconds(duration: string): number {
  const parts = [...duration.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== duration) {
    const problem = `time: invalid duration ${JSON.stringify(duration)}`;
    throw new Error(
      `2 errors occurred:\n\t* 1 error occurred:\n\t* ${problem}\n\n\n\t* [AttributeName("poll_interval")] Unparsable poll interval value: ` +
        `An unexpected error was encountered trying to parse the value.\n\n${problem}\n\n`,
    );
  }
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (UNIT_MILLISECONDS[unit ?? ""] ?? 0), 0);
}
