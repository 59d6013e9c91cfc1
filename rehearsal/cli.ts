import { Command } from "commander";
import { version } from "../package.json";
import type * as drills from "./drills/command";
import type * as cloudflareEmulator from "./emulators/cloudflare/command";
import type * as hetznerEmulator from "./emulators/hetzner/command";
import type * as rehearsal from "./rehearse/command";
import type * as toolchain from "./toolchain/command";

/* eslint-disable @typescript-eslint/no-require-imports -- each part is loaded only when its command is called */

/** The commands of the machine-local world. */
const program = new Command("trivet-rehearsal")
  .version(version)
  .description("Brings a platform up on this machine, against emulated clouds")
  .showSuggestionAfterError()
  .exitOverride();

program
  .command("rehearse")
  .description(
    "pulumi up of a whole platform, on emulated Hetzner and Cloudflare APIs and a real Kubernetes control plane",
  )
  .option("--stack <name>", "which stack to bring up", "honeydue")
  .option("--once", "end when the summary is printed (always so without a terminal)")
  .option("--twice", "run `up` a second time and fail if it changes anything")
  .option("--json <file>", "write the summary as JSON")
  .option("--keep <directory>", "copy state, logs and configuration there at the end")
  .option("--plugins <directory>", "real provider plugins to use instead of the stand-ins")
  .option("--loopback <prefix>", "first three parts of the emulated servers' addresses", "127.20.0")
  .option(
    "--drill <name>",
    "play a drill instead; may be given several times; `list` names them, `all` plays all",
    more,
    [],
  )
  .option("--transcript <file>", "write what the drills print into a page of Markdown")
  .option("--boot", "servers really boot, a Debian user land each (as root on Linux; builds it once, about a minute)")
  .option(
    "--traefik",
    "requests through the real Traefik and Hetzner's firewall, in a private network (Linux; builds Traefik once, about 8 minutes)",
  )
  .option("--down", "take down the rehearsal that runs on this machine, or what a killed one left")
  .action(async (options: rehearsal.RehearseOptions & drills.DrillOptions) => {
    if (options.drill.length > 0) {
      const { drill } = require("./drills/command") as typeof drills;
      process.exitCode = await drill(options);
      return;
    }
    const { rehearse } = require("./rehearse/command") as typeof rehearsal;
    process.exitCode = await rehearse(options);
  });

/** Collects the values of an option that may be given several times. */
function more(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

program
  .command("emulate")
  .description("one emulated cloud on its own: hetzner or cloudflare")
  .argument("<cloud>")
  .allowUnknownOption()
  .helpOption(false)
  .argument("[options...]")
  .action(async (cloud: string, rest: string[]) => {
    if (cloud === "hetzner") {
      const { runHetznerEmulator } = require("./emulators/hetzner/command") as typeof hetznerEmulator;
      process.exitCode = await runHetznerEmulator(rest);
    } else if (cloud === "cloudflare") {
      const { runCloudflareEmulator } = require("./emulators/cloudflare/command") as typeof cloudflareEmulator;
      process.exitCode = await runCloudflareEmulator(rest);
    } else {
      program.error(`There is no emulator of "${cloud}"; there are: hetzner, cloudflare`, { exitCode: 2 });
    }
  });

program
  .command("toolchain")
  .description("set up the real binaries, or say where they are")
  .allowUnknownOption()
  .helpOption(false)
  .argument("[options...]")
  .action(async (rest: string[]) => {
    const { runToolchain } = require("./toolchain/command") as typeof toolchain;
    process.exitCode = await runToolchain(rest);
  });

void program.parseAsync().catch((error: { exitCode?: number; code?: string; message?: string }) => {
  // commander has printed its own message; anything else is ours to print.
  if (!error.code?.startsWith("commander.")) console.error(error);
  process.exitCode = error.exitCode === 0 ? 0 : error.code?.startsWith("commander.") ? 2 : (error.exitCode ?? 1);
});
