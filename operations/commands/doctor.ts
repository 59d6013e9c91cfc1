import { Cloud, Cloudflare } from "../cloud";
import { edgeChecks } from "../edge-checks";
import { observeEdge } from "../edge-observations";
import { readEdgeState } from "../edge-state";
import { AREAS, type Check, type DoctorReport, offlineChecks, renderDoctor } from "../doctor";
import { EXIT } from "../refusal";
import { type Configuration, platformOf, settingsOf, Stack, type StackOptions } from "../stack";
import { openStackFile } from "../stack-file";
import type { Terminal } from "../terminal";

export interface DoctorOptions extends StackOptions {
  readonly json?: boolean;
  /** Asks nobody: the definition and the stack's file alone. */
  readonly offline?: boolean;
}

interface Caller {
  readonly environment: NodeJS.ProcessEnv;
  readonly callerDirectory: string;
}

/** `trivet doctor`: compares the edge with what it should be; changes nothing. */
export async function doctor(options: DoctorOptions, terminal: Terminal, caller: Caller): Promise<number> {
  const begin = performance.now();
  const { stack, checks } = await (options.offline === true ? offline(options, caller) : live(options, caller));
  const report: DoctorReport = {
    schemaVersion: 1,
    stack,
    offline: options.offline === true,
    seconds: (performance.now() - begin) / 1000,
    checks: AREAS.flatMap((area) => checks.filter((check) => check.area === area)),
  };
  terminal.result(
    options.json === true
      ? JSON.stringify(report, undefined, 2)
      : renderDoctor(report, (...args) => terminal.paint(...args)),
  );
  return exitCode(report);
}

/** Somebody is needed before anything is uncertain. */
export const exitCode = ({ checks }: Pick<DoctorReport, "checks">): number => {
  const has = (verdict: Check["verdict"]): boolean => checks.some((one) => one.verdict === verdict);
  return has("fail") ? EXIT.problems : has("unknown") ? EXIT.usage : EXIT.well;
};

async function offline(options: DoctorOptions, caller: Caller): Promise<{ stack: string; checks: readonly Check[] }> {
  // Only the Pulumi CLI knows which stack was selected.
  const stack = options.stack ?? (await Stack.open(options, caller)).name;
  const { name, platform } = openStackFile({ ...options, stack }, caller.callerDirectory);
  return { stack: name, checks: offlineChecks(platform) };
}

async function live(options: DoctorOptions, caller: Caller): Promise<{ stack: string; checks: readonly Check[] }> {
  const stack = await Stack.open(options, caller);
  const [configuration, exported] = await Promise.all([stack.configuration(), stack.exported()]);
  const platform = platformOf(stack.shortName, settingsOf(configuration));
  const state = readEdgeState(exported);
  const { environment } = caller;
  const cloudflareToken = textOf(configuration, "cloudflare:apiToken") ?? environment["CLOUDFLARE_API_TOKEN"];
  const hetznerToken = textOf(configuration, "hcloud:token") ?? environment["HCLOUD_TOKEN"];
  if (cloudflareToken === undefined) return { stack: stack.name, checks: [...offlineChecks(platform), NO_TOKEN] };
  const cloudflare = new Cloudflare({
    baseUrl: textOf(configuration, "cloudflare:baseUrl") ?? environment["CLOUDFLARE_BASE_URL"] ?? CLOUDFLARE_ENDPOINT,
    token: cloudflareToken,
  });
  const hetzner =
    hetznerToken === undefined
      ? undefined
      : new Cloud({
          baseUrl: textOf(configuration, "hcloud:endpoint") ?? environment["HCLOUD_ENDPOINT"] ?? HETZNER_ENDPOINT,
          token: hetznerToken,
        });
  const observations = await observeEdge(platform, state, cloudflare, hetzner);
  const pem = textOf(configuration, "trivet:publicCertificate");
  const keyPem = textOf(configuration, "trivet:publicCertificateKey");
  return {
    stack: stack.name,
    checks: [
      ...offlineChecks(platform),
      ...edgeChecks({
        now: new Date(),
        platform,
        state,
        observations,
        publicCertificate: pem === undefined || keyPem === undefined ? undefined : { pem, keyPem },
      }),
    ],
  };
}

const NO_TOKEN: Check = {
  area: "Cloudflare",
  id: "token",
  verdict: "fail",
  says: "the stack has no token of Cloudflare",
  action: "pulumi config set --secret cloudflare:apiToken",
};

const CLOUDFLARE_ENDPOINT = "https://api.cloudflare.com/client/v4";
const HETZNER_ENDPOINT = "https://api.hetzner.cloud/v1";

function textOf(configuration: Configuration, key: string): string | undefined {
  const value = configuration[key]?.value;
  return value === "" ? undefined : value;
}
