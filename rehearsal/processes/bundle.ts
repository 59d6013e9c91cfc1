import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { commandPath } from "../boot/requirements";

const run = promisify(execFile);

/** A program of this repository as one file of JavaScript, with all that it imports: it runs where the checkout is not. */
export async function bundle(entry: string, file: string): Promise<void> {
  // Its own command instead of its API, which refuses to run in a test's global scope.
  await run(
    require.resolve("esbuild/bin/esbuild"),
    [
      entry,
      ...["--bundle", "--platform=node", "--target=node22", "--format=cjs", "--log-level=warning"],
      `--outfile=${file}`,
    ],
    { env: { PATH: commandPath() } },
  );
}
