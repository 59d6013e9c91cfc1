import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { renderTo } from "../components/render";
import { platformOfStackFile, StackFileError } from "./stack-file";

const USAGE = "npm run render -- --stack NAME --out DIR";

/**
 * `npm run render`: writes every Kubernetes object of a stack as one YAML file. It needs no engine and no network, and
 * the same stack gives the same bytes. Secrets appear as the names of the Secrets that `pulumi up` makes.
 */
function main(): number {
  try {
    const { values } = parseArgs({ options: { stack: { type: "string" }, out: { type: "string" } } });
    const { stack, out } = values;
    if (stack === undefined || out === undefined) {
      throw new StackFileError(`${stack === undefined ? "--stack" : "--out"} is missing\n${USAGE}`, 2);
    }
    const directory = resolve(out);
    const files = renderTo(directory, platformOfStackFile(stack));
    console.log(`${files.length} files of ${stack} written to ${directory}`);
    return 0;
  } catch (error) {
    if (error instanceof StackFileError) {
      console.error(error.message);
      return error.exitCode;
    }
    if ((error as NodeJS.ErrnoException).code?.startsWith("ERR_PARSE_ARGS")) {
      console.error(`${(error as Error).message}\n${USAGE}`);
      return 2;
    }
    throw error;
  }
}

process.exitCode = main();
