import { askTailscale } from "../../local/tailscale";
import type { Platform } from "../../model/platform";
import { apiTailnet } from "../../model/tailnet";
import { knownCertificate } from "../certificate-verdict";
import { cloudsOf, textOf } from "../cloud-access";
import { edgeChecks } from "../edge-checks";
import { observeEdge } from "../edge-observations";
import { readEdgeState } from "../edge-state";
import { AREAS, type Check, type DoctorReport, offlineChecks, renderDoctor } from "../doctor";
import { EXIT } from "../refusal";
import { type Configuration, platformOf, settingsOf, Stack, type StackOptions } from "../stack";
import { openStackFile } from "../stack-file";
import { tailnetChecks } from "../tailnet-checks";
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
  const { cloudflare, hetzner } = cloudsOf(configuration, caller.environment);
  const tailnet = await tailnetFindings(platform, configuration);
  if (cloudflare === undefined)
    return { stack: stack.name, checks: [...offlineChecks(platform), NO_TOKEN, ...tailnet] };
  const observations = await observeEdge(platform, state, cloudflare, hetzner);
  const seen = edgeChecks({
    now: new Date(),
    platform,
    state,
    observations,
    publicCertificate: knownCertificate(configuration),
  });
  // The definition cannot know what Cloudflare has seen at the registrar.
  const isSignatureSeen = seen.some(({ id }) => id === "dnssec");
  const known = offlineChecks(platform).filter(({ id }) => !(id === "NT002" && isSignatureSeen));
  return { stack: stack.name, checks: [...known, ...seen, ...tailnet] };
}

async function tailnetFindings(platform: Platform, configuration: Configuration): Promise<readonly Check[]> {
  const tailnet = apiTailnet(platform);
  if (tailnet === undefined) return [];
  return tailnetChecks({
    now: new Date(),
    tailnet,
    view: await askTailscale(tailnet),
    authKey: textOf(configuration, `trivet:${tailnet.authKey}`),
  });
}

const NO_TOKEN: Check = {
  area: "Cloudflare",
  id: "token",
  verdict: "fail",
  says: "the stack has no token of Cloudflare",
  action: "pulumi config set --secret cloudflare:apiToken",
};
