import { Command, CommanderError, Option } from "commander";
import { version } from "../package.json";
import type * as apiCommand from "./commands/api";
import type * as certificateCommand from "./commands/certificate";
import type * as doctorCommand from "./commands/doctor";
import type * as emergencyCommand from "./commands/emergency";
import type * as escrowCommand from "./commands/escrow";
import type * as rebuildCommand from "./commands/rebuild";
import type * as replaceCommand from "./commands/replace";
import type * as restoreCommand from "./commands/restore";
import type * as rollCommand from "./commands/roll";
import type * as statusCommand from "./commands/status";
import type * as traceCommand from "./commands/trace";
import type * as tunnelCommand from "./commands/tunnel";
import type * as upgradeCommand from "./commands/upgrade";
import type { Surroundings } from "./change";
import { EXIT, Refusal } from "./refusal";
import { Stack, type StackOptions } from "./stack";
import { terminal as openTerminal } from "./terminal";

/* eslint-disable @typescript-eslint/no-require-imports -- each command is loaded only when it is called */

/** npm runs its scripts in the checkout, wherever the person is. */
const callerDirectory = process.env["INIT_CWD"] ?? process.cwd();
const caller = { environment: process.env, callerDirectory };
const terminal = openTerminal();

/** What stands after `--` is for `pulumi up`. */
const cut = process.argv.indexOf("--");
const argv = cut < 0 ? process.argv : process.argv.slice(0, cut);
const more = cut < 0 ? [] : process.argv.slice(cut + 1);

type ChangeOptions = StackOptions & { readonly yes?: boolean };

const program = new Command("trivet")
  .version(version)
  .description("What people do with a Trivet platform beside `pulumi up`")
  .showSuggestionAfterError()
  .exitOverride();

const command = (usage: string, description: string, parent: Command = program): Command =>
  parent
    .command(usage)
    .description(description)
    .option("--stack <name>", "which stack (default: the one that `pulumi stack select` chose)")
    .option("--config-file <file>", "its settings, where they are not in stacks/");

const change = (usage: string, description: string, parent: Command = program): Command =>
  command(usage, description, parent)
    .option("--yes", "the answer to its question")
    .addHelpText("after", "\nWhat stands after -- is passed on to `pulumi preview` and `pulumi up`.");

const open = (options: StackOptions): Promise<Stack> => Stack.open(options, caller);

/** A command that starts no `pulumi up` has nobody to pass arguments on to. */
const openToLook = (options: StackOptions): Promise<Stack> => {
  if (more.length > 0) throw new Refusal(`Nothing takes what stands after --: ${more.join(" ")}`, EXIT.usage);
  return open(options);
};

const surroundings = async (options: ChangeOptions): Promise<Surroundings> => ({
  stack: await open(options),
  terminal,
  yes: options.yes === true,
  more,
});

command("status", "nodes, etcd members, API servers, certificates, the last snapshot; changes nothing")
  .option("--json", "as JSON")
  .action(async (options: StackOptions & { json?: boolean }) => {
    const { status } = require("./commands/status") as typeof statusCommand;
    process.exitCode = await status(await openToLook(options), terminal, options);
  });

command("doctor", "the edge as it is against the edge as it should be, a line a check; changes nothing")
  .option("--offline", "only the definition and the settings: asks nobody")
  .option("--json", "as JSON")
  .action(async (options: doctorCommand.DoctorOptions) => {
    const { doctor } = require("./commands/doctor") as typeof doctorCommand;
    if (more.length > 0) throw new Refusal(`Nothing takes what stands after --: ${more.join(" ")}`, EXIT.usage);
    process.exitCode = await doctor(options, terminal, caller);
  });

command(
  "trace",
  "the way of a request from a visitor to a container, hop by hop; before or after deploying, changes nothing",
)
  .argument("<url>", "such as https://api.honeydue.example/v1; without --stack, the stack whose domain has the host")
  .option("--json", "as JSON")
  .option("--live", "also what is there now: DNS, the answer, pods")
  .option("--connect-to <host:port>", "like --live, but ask there instead of where DNS leads")
  .action(async (url: string, options: traceCommand.TraceOptions) => {
    const { trace } = require("./commands/trace") as typeof traceCommand;
    process.exitCode = await trace(url, options, terminal, caller);
  });

command("api", "the way to a Kubernetes API behind Cloudflare Access, for kubectl, until Ctrl-C").action(
  async (options: StackOptions) => {
    const { api } = require("./commands/api") as typeof apiCommand;
    process.exitCode = await api(await openToLook(options), terminal, process.env);
  },
);

change("replace", "makes one node anew: a new image on its server, or a new server where it is gone")
  .argument("<node>", "a, b, c, or an agent such as general-1")
  .option("--new-server", "a new server in any case: for another architecture, or away from a broken host")
  .action(async (node: string, options: ChangeOptions & replaceCommand.ReplaceOptions) => {
    const { replace } = require("./commands/replace") as typeof replaceCommand;
    process.exitCode = await replace(await surroundings(options), node, options);
  });

change("roll", "every node onto the newest image, one at a time").action(async (options: ChangeOptions) => {
  const { roll } = require("./commands/roll") as typeof rollCommand;
  process.exitCode = await roll(await surroundings(options));
});

change("upgrade", "every node onto another K3s, one at a time")
  .argument("[version]", "such as v1.36.5+k3s1; with --check the newest one that can be reached")
  .option("--check", "only say what it would do")
  .option("--json", "with --check: as JSON")
  .action(async (to: string | undefined, options: ChangeOptions & upgradeCommand.UpgradeOptions) => {
    const { upgrade } = require("./commands/upgrade") as typeof upgradeCommand;
    process.exitCode = await upgrade(await surroundings(options), to, options);
  });

change("rebuild", "the whole cluster anew, as a new generation with new authorities").action(
  async (options: ChangeOptions) => {
    const { rebuild } = require("./commands/rebuild") as typeof rebuildCommand;
    process.exitCode = await rebuild(await surroundings(options));
  },
);

change("restore", "the same cluster again, as it was in a snapshot")
  .argument("[snapshot]", "its name")
  .option("--latest", "the newest one that fits")
  .option("--list", "only show which ones there are")
  .option("--json", "with --list: as JSON")
  .action(async (snapshot: string | undefined, options: ChangeOptions & restoreCommand.RestoreOptions) => {
    const { restore } = require("./commands/restore") as typeof restoreCommand;
    process.exitCode = await restore(await surroundings(options), snapshot, options);
  });

const tunnel = program
  .command("tunnel")
  .description("another secret for a Cloudflare Tunnel, or one made by hand taken over");
change("rotate", "a new secret; what runs keeps its connections", tunnel)
  .argument("<whose>", "users or operators")
  .action(async (whose: string, options: ChangeOptions) => {
    const { rotate } = require("./commands/tunnel") as typeof tunnelCommand;
    process.exitCode = await rotate(await surroundings(options), whose);
  });
change("adopt", "a tunnel that was made by hand becomes the stack's, in two steps", tunnel)
  .argument("<whose>", "users or operators")
  .argument("[id]", "the tunnel's UUID")
  .option("--finish", "the second step: our name for it, and a new secret")
  .action(async (whose: string, id: string | undefined, options: ChangeOptions & tunnelCommand.AdoptOptions) => {
    const { adopt } = require("./commands/tunnel") as typeof tunnelCommand;
    process.exitCode = await adopt(await surroundings(options), whose, id, options, process.env);
  });

const emergency = program.command("emergency").description("visitors past Cloudflare to the servers, and back");
change("on", "records grey, firewall open, Traefik for everybody", emergency).action(async (options: ChangeOptions) => {
  const { emergencyOn } = require("./commands/emergency") as typeof emergencyCommand;
  process.exitCode = await emergencyOn(await surroundings(options));
});
change("off", "names first, then the servers are shut; no request is lost", emergency).action(
  async (options: ChangeOptions) => {
    const { emergencyOff } = require("./commands/emergency") as typeof emergencyCommand;
    process.exitCode = await emergencyOff(await surroundings(options));
  },
);

command("certificate", "what visitors trust while Cloudflare is bypassed: obtained beforehand, by ACME and DNS")
  .option("--renew", "only when it is due; asks nothing, for a scheduled job")
  .option("--check", "only say whether the one that is there fits and lasts")
  .option("--directory <url>", "the ACME server's directory (default: Let's Encrypt's)")
  .option("--contact <email>", "for a new account: where the authority reaches its owner")
  .option("--agree-tos", "for a new account: the authority's terms of service were read, and are agreed to")
  .option("--name-server <host:port...>", "asked whether the records are seen, instead of the zone's own name servers")
  .option("--yes", "the answer to its question")
  .action(async (options: StackOptions & certificateCommand.CertificateOptions) => {
    const { certificate } = require("./commands/certificate") as typeof certificateCommand;
    process.exitCode = await certificate(await openToLook(options), terminal, options, process.env);
  });

command("escrow", "authorities, keys and tokens in one encrypted file (age format)")
  .option("--out <file>", "write it")
  .option("--check <file>", "prove that it opens and fits this stack")
  .option("--into-stack <file>", "give it to a stack that lost its state: sets the secret trivet:escrow")
  .addOption(
    new Option("--to <recipient...>", "with --out: for owners of age identities (age1...), instead of a passphrase"),
  )
  .option("--identity <file>", "opens what was made with --to")
  .option("--force", "with --out: overwrite the file")
  .option("--yes", "with --into-stack: the answer to its question")
  .addHelpText(
    "after",
    "\nThe passphrase is asked for, or taken from the environment's TRIVET_ESCROW_PASSPHRASE. It is never an argument.",
  )
  .action(async (options: StackOptions & escrowCommand.EscrowOptions) => {
    const { escrow } = require("./commands/escrow") as typeof escrowCommand;
    process.exitCode = await escrow(await openToLook(options), terminal, options, caller);
  });

program.parseAsync(argv).catch((error: unknown) => {
  if (error instanceof Refusal) {
    terminal.say(error.message);
    process.exitCode = error.exitCode;
  } else if (error instanceof CommanderError) {
    // It has printed its own message.
    process.exitCode = error.exitCode === 0 ? EXIT.well : EXIT.usage;
  } else {
    console.error(error);
    process.exitCode = EXIT.problems;
  }
});
