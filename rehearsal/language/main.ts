/** The process `pulumi-language-nodejs`: prints its port, and lives as long as the engine wants it. */
import { engineAddressOfArguments, engineGone } from "../providers/protocol/plugin-process";
import { startLanguageHost } from "./host";

/** The release of Pulumi whose language host it stands in for. */
const VERSION = "3.259.0";

async function main(): Promise<void> {
  const gone = engineGone(); // before the port is known: the engine may end as soon as it has it
  const host = await startLanguageHost(VERSION, engineAddressOfArguments(process.argv.slice(2)) ?? "");
  process.stdout.write(`${host.port}\n`);
  await gone;
  await host.close();
  process.exit(0);
}

void main();
