import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { CLOUDFLARED_VERSION } from "./version";

/** What the arguments and variables of one process say. */
export interface Settings {
  readonly token: string;
  readonly edge: { host: string; port: number };
  readonly metrics: { host: string; port: number };
  readonly graceSeconds: number;
  /** `REHEARSAL_SERVICES`: a file, see `servicesFromFile`. */
  readonly servicesFile: string | undefined;
  /** `REHEARSAL_ACCESS_CERTS`: HTTP door of the emulated edge, where the teams' keys are. */
  readonly accessCerts: string | undefined;
}

/** Called wrongly, or told too little; the message is whole. */
export class SettingsError extends Error {}

interface TunnelOptions {
  metrics: string;
  gracePeriod: string;
  edge?: string;
}
interface RunOptions {
  token?: string;
  tokenFile?: string;
}

/**
 * Reads `cloudflared tunnel [options] run [options]`: the options of a connector that is run by a token, each on the command where cloudflared has
 * it, with its variable. Others are refused, as cloudflared refuses what it does not know; a stand-in that let them pass would prove nothing.
 */
export function readSettings(argv: readonly string[], environment: NodeJS.ProcessEnv): Settings {
  let read: (TunnelOptions & RunOptions) | undefined;
  const said: string[] = [];
  const quiet = (command: Command) =>
    command
      .exitOverride()
      .enablePositionalOptions()
      .configureOutput({ writeErr: (text) => said.push(text), writeOut: (text) => said.push(text) });
  const program = quiet(new Command("cloudflared")).option("--no-autoupdate").version(CLOUDFLARED_VERSION);
  const tunnel = quiet(program.command("tunnel"))
    .option("--no-autoupdate")
    .option("--metrics <address>", "", environment["TUNNEL_METRICS"] ?? "127.0.0.1:0")
    .option("--grace-period <duration>", "", environment["TUNNEL_GRACE_PERIOD"] ?? "30s")
    .option("--edge <address>", "", environment["TUNNEL_EDGE"])
    .option("--loglevel <level>", "", environment["TUNNEL_LOGLEVEL"])
    .option("--retries <count>")
    .option("--edge-ip-version <version>", "", environment["TUNNEL_EDGE_IP_VERSION"])
    .addOption(new Option("--protocol <protocol>").choices(["auto", "http2", "quic"]))
    .addOption(new Option("--output <form>").choices(["default", "json"]));
  quiet(tunnel.command("run"))
    .addOption(new Option("--protocol <protocol>").choices(["auto", "http2", "quic"]))
    .option("--token <token>", "", environment["TUNNEL_TOKEN"])
    .option("--token-file <path>", "", environment["TUNNEL_TOKEN_FILE"])
    .action((options: RunOptions) => {
      read = { ...tunnel.opts<TunnelOptions>(), ...options };
    });
  try {
    program.parse(argv, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) throw new SettingsError(said.join("").trim() || error.message);
    throw error;
  }
  if (read === undefined) throw new SettingsError("Use `cloudflared tunnel run`: the stand-in has no other command.");
  if (!read.edge)
    throw new SettingsError(
      "TUNNEL_EDGE is not set. This is a rehearsal's stand-in for cloudflared: it speaks to an emulated edge only, whose address goes there.",
    );
  return {
    token: tokenOf(read),
    edge: address("--edge", read.edge),
    metrics: address("--metrics", read.metrics),
    graceSeconds: durationSeconds(read.gracePeriod),
    servicesFile: environment["REHEARSAL_SERVICES"] || undefined,
    accessCerts: environment["REHEARSAL_ACCESS_CERTS"] || undefined,
  };
}

/** `--token` wins over `--token-file`, as in cloudflared. */
function tokenOf({ token, tokenFile }: RunOptions): string {
  if (token) return token;
  if (!tokenFile)
    throw new SettingsError('"cloudflared tunnel run" requires the ID or name of the tunnel to run, or a token. Set TUNNEL_TOKEN_FILE.'); // prettier-ignore
  try {
    return readFileSync(tokenFile, "utf8").trim();
  } catch (error) {
    throw new SettingsError(`Failed to read token file: ${(error as Error).message}`);
  }
}

function address(option: string, given: string): { host: string; port: number } {
  const [, host, port] = /^(.*):(\d{1,5})$/.exec(given) ?? [];
  if (port === undefined || Number(port) > 65535)
    throw new SettingsError(`${option}: got "${given}"; an address and a port, such as 0.0.0.0:2000`);
  return { host: host?.replace(/^\[|\]$/g, "") || "0.0.0.0", port: Number(port) };
}

/** Of Go's durations those that one writes for a time of seconds: `45s`, `1m30s`, `500ms`. */
function durationSeconds(given: string): number {
  const units: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(given))
    throw new SettingsError(`invalid value "${given}" for flag -grace-period: a duration such as 30s`);
  return [...given.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (units[unit ?? "s"] ?? 1),
    0,
  );
}
