import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { stayUp } from "../../processes/interruption";
import { openFrontDoor } from "./door";
import { type CloudflareEmulator, startCloudflareEmulator } from "./emulator";
import { PLANS, type Plan } from "./state";

interface Options {
  port: number;
  host: string;
  account: string;
  zone: string[];
  plan: Plan;
  token?: string;
  publicRange: string[];
  door?: true;
  doorHttpPort: number;
  doorHttpsPort: number;
}

const port = (given: string): number => {
  const number = Number(given);
  if (!Number.isInteger(number) || number < 0 || number > 65535)
    throw new InvalidArgumentError("A port is a whole number from 0 to 65535; 0 takes a free one.");
  return number;
};
const plan = (given: string): Plan => {
  const found = PLANS.find((one) => one === given);
  if (found === undefined) throw new InvalidArgumentError(`Allowed: ${PLANS.join(", ")}.`);
  return found;
};
const collect = (given: string, before: string[]): string[] => [...before, given];

/**
 * `npm run emulate -- cloudflare ...`: stays until Ctrl-C. Where to reach it goes to stdout, one `NAME=value` a line, so that a shell can read it.
 * Gives the exit code: 0 stopped, 1 could not start, 2 called wrongly.
 */
export async function runCloudflareEmulator(argv: readonly string[]): Promise<number> {
  const program = new Command("emulate cloudflare")
    .description("the Cloudflare API v4 on loopback")
    .option("--port <number>", "where to listen; 0 takes a free one", port, 0)
    .option("--host <address>", "a loopback address", "127.0.0.1")
    .option("--account <name>", "name of the one account", "Trivet")
    .option("--zone <name>", "a zone of that account; may be repeated (default: honeydue.example)", collect, [])
    .option("--plan <plan>", `plan of the zones: ${PLANS.join(", ")}`, plan, "free")
    .option("--token <value>", "an API token that may do everything; default: $CLOUDFLARE_API_TOKEN, else a new one")
    .option(
      "--public-range <cidr>",
      "addresses that count as public here; may be repeated (default: 127.20.0.0/16)",
      collect,
      [],
    )
    .option("--door", "play the edge, too: HTTP and HTTPS for visitors of the zones' proxied records")
    .option("--door-http-port <number>", "of the front door; 0 takes a free one", port, 0)
    .option("--door-https-port <number>", "of the front door; 0 takes a free one", port, 0)
    .showSuggestionAfterError()
    .exitOverride();
  try {
    program.parse(argv, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
  const options = program.opts<Options>();
  const given = options.token ?? (process.env["CLOUDFLARE_API_TOKEN"] || undefined);
  const token = given ?? randomBytes(20).toString("hex");
  try {
    const emulator = await startCloudflareEmulator({
      host: options.host,
      port: options.port,
      accounts: [{ name: options.account }],
      zones: (options.zone.length > 0 ? options.zone : ["honeydue.example"]).map((name) => ({
        name,
        plan: options.plan,
      })),
      tokens: [{ value: token }],
      publicRanges: options.publicRange.length > 0 ? options.publicRange : ["127.20.0.0/16"],
    });
    const door = options.door && (await openDoor(emulator, options));
    const lines = [
      `CLOUDFLARE_BASE_URL=${emulator.baseUrl}`,
      // A token that came from outside is the caller's secret: it is not printed.
      ...(given === undefined ? [`CLOUDFLARE_API_TOKEN=${token}`] : []),
      ...emulator.state.accounts.map(({ id }) => `CLOUDFLARE_ACCOUNT_ID=${id}`),
      ...emulator.state.zones.map(({ id, name }) => `CLOUDFLARE_ZONE_ID=${id} # ${name}`),
      ...(door ? door.lines : []),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
    process.stderr.write(
      `${emulator.url}/_emulator/state shows what is there, /_emulator/journal every call. Ctrl-C ends it.\n`,
    );
    return await stayUp(async () => {
      await door?.close();
      await emulator.close();
    });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

/** A file holds the authority, because `curl --cacert` takes no text. */
async function openDoor(
  emulator: CloudflareEmulator,
  { host, doorHttpPort: httpPort, doorHttpsPort: httpsPort }: Options,
) {
  const door = await openFrontDoor(emulator, { host, httpPort, httpsPort });
  const folder = await mkdtemp(join(tmpdir(), "trivet-edge-"));
  const authorityFile = join(folder, "edge-authority.pem");
  await writeFile(authorityFile, door.authorityPem);
  return {
    lines: [
      `EDGE_HTTP=${door.http}`,
      `EDGE_HTTPS=${door.https}`,
      `TUNNEL_EDGE=${door.tunnel}`,
      `EDGE_AUTHORITY=${authorityFile}`,
      `# curl --cacert "$EDGE_AUTHORITY" --connect-to "::\${EDGE_HTTPS#https://}" https://${emulator.state.zones[0]?.name}/`,
    ],
    close: async () => {
      await door.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
