import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { CLOUDFLARED_VERSION } from "./version";

/** What the arguments and variables of one process say. */
export type Settings = ConnectorSettings | AccessTcpSettings;

export interface ConnectorSettings {
  readonly command: "tunnel run";
  readonly token: string;
  readonly edge: { host: string; port: number };
  readonly metrics: { host: string; port: number };
  readonly graceSeconds: number;
  /** `REHEARSAL_SERVICES`: a file, see `servicesFromFile`. */
  readonly servicesFile: string | undefined;
  /** `REHEARSAL_ACCESS_CERTS`: HTTP door of the emulated edge, where the teams' keys are. */
  readonly accessCerts: string | undefined;
}

export interface AccessTcpSettings {
  readonly command: "access tcp";
  readonly hostname: string;
  readonly listen: { host: string; port: number };
  readonly serviceToken: { clientId: string; clientSecret: string } | undefined;
  /** `REHEARSAL_EDGE_HTTPS` and `REHEARSAL_EDGE_AUTHORITY` (a file). */
  readonly edge: { https: string; authorityPem: string };
}

/** Called wrongly, or told too little; the message is whole. */
export class SettingsError extends Error {}

interface TunnelOptions {
  metrics: string;
  gracePeriod: string;
  edge?: string;
}
interface AccessOptions {
  hostname?: string;
  url?: string;
  serviceTokenId?: string;
  serviceTokenSecret?: string;
}
interface RunOptions {
  token?: string;
  tokenFile?: string;
}

/**
 * Reads `cloudflared tunnel [options] run [options]` and `cloudflared access tcp [options]`: the options of a connector that is run by a token, and
 * of an operator's way to what it guards, each on the command where cloudflared has it, with its variable. Others are refused, as cloudflared refuses what it does not know; a stand-in that let them pass would prove nothing.
 */
export function readSettings(argv: readonly string[], environment: NodeJS.ProcessEnv): Settings {
  let read: (() => Settings) | undefined;
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
      read = () => connectorSettings(tunnel.opts<TunnelOptions>(), options, environment);
    });
  quiet(quiet(program.command("access")).command("tcp"))
    .option("--hostname <name>", "", environment["TUNNEL_SERVICE_HOSTNAME"])
    .option("--url <address>", "", environment["TUNNEL_SERVICE_URL"])
    .option("--service-token-id <id>", "", environment["TUNNEL_SERVICE_TOKEN_ID"])
    .option("--service-token-secret <secret>", "", environment["TUNNEL_SERVICE_TOKEN_SECRET"])
    .action((options: AccessOptions) => {
      read = () => accessSettings(options, environment);
    });
  try {
    program.parse(argv, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) throw new SettingsError(said.join("").trim() || error.message);
    throw error;
  }
  if (read === undefined)
    throw new SettingsError(
      "Use `cloudflared tunnel run` or `cloudflared access tcp`: the stand-in has no other command.",
    );
  return read();
}

function connectorSettings(
  { metrics, gracePeriod, edge }: TunnelOptions,
  run: RunOptions,
  environment: NodeJS.ProcessEnv,
): ConnectorSettings {
  if (!edge) throw new SettingsError(`TUNNEL_EDGE is not set. ${ONLY_EMULATED}`);
  return {
    command: "tunnel run",
    token: tokenOf(run),
    edge: address("--edge", edge),
    metrics: address("--metrics", metrics),
    graceSeconds: durationSeconds(gracePeriod),
    servicesFile: environment["REHEARSAL_SERVICES"] || undefined,
    accessCerts: environment["REHEARSAL_ACCESS_CERTS"] || undefined,
  };
}

function accessSettings(
  { hostname, url, serviceTokenId: clientId, serviceTokenSecret: clientSecret }: AccessOptions,
  environment: NodeJS.ProcessEnv,
): AccessTcpSettings {
  const { REHEARSAL_EDGE_HTTPS: https, REHEARSAL_EDGE_AUTHORITY: authority } = environment;
  if (!https || !authority)
    throw new SettingsError(`REHEARSAL_EDGE_HTTPS and REHEARSAL_EDGE_AUTHORITY are not both set. ${ONLY_EMULATED}`);
  if (!hostname) throw new SettingsError("--hostname: the name of the Access application is missing");
  if (!url) throw new SettingsError("--url: where to listen is missing, such as 127.0.0.1:16443");
  return {
    command: "access tcp",
    hostname: hostname.replace(/^https?:\/\//, ""),
    listen: address("--url", url.replace(/^tcp:\/\//, "")),
    serviceToken: clientId && clientSecret ? { clientId, clientSecret } : undefined,
    edge: { https, authorityPem: fileText(authority, "the edge's authority") },
  };
}

const ONLY_EMULATED = "This is a rehearsal's stand-in for cloudflared: it speaks to an emulated edge only.";

/** `--token` wins over `--token-file`, as in cloudflared. */
function tokenOf({ token, tokenFile }: RunOptions): string {
  if (token) return token;
  if (!tokenFile)
    throw new SettingsError('"cloudflared tunnel run" requires the ID or name of the tunnel to run, or a token. Set TUNNEL_TOKEN_FILE.'); // prettier-ignore
  return fileText(tokenFile, "token file").trim();
}

function fileText(path: string, what: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new SettingsError(`Failed to read ${what}: ${(error as Error).message}`);
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
