import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { stayUp } from "../../processes/interruption";
import { startHetznerEmulator } from "./emulator";

const USAGE = `npm run emulate -- hetzner [--port N] [--host ADDRESS] [--token TOKEN]

An emulated Hetzner Cloud API v1 with one empty project, kept in memory until Ctrl-C.

  --port    where it listens; default: a free port
  --host    default: 127.0.0.1
  --token   64 letters and digits; default: a random one, printed
`;

/** Runs the emulator on its own until it is interrupted. Returns the exit code: 0 well, 1 cannot start, 2 called wrongly. */
export async function runHetznerEmulator(argv: readonly string[]): Promise<number> {
  let values: { port?: string; host?: string; token?: string; help?: boolean };
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        port: { type: "string" },
        host: { type: "string" },
        token: { type: "string" },
        help: { type: "boolean" },
      },
    }));
  } catch (error) {
    return calledWrongly((error as Error).message);
  }
  if (values.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  const port = Number(values.port ?? 0);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    return calledWrongly(`--port is "${values.port}"; allowed is a number from 0 (a free port) to 65535`);
  }
  const token = values.token ?? randomBytes(32).toString("hex");
  try {
    const emulator = await startHetznerEmulator({
      token,
      port,
      ...(values.host === undefined ? {} : { host: values.host }),
    });
    // For a shell to read; a token that came from outside is the caller's secret and is not printed.
    process.stdout.write(
      `HCLOUD_ENDPOINT=${emulator.url}/v1\n${values.token === undefined ? `HCLOUD_TOKEN=${token}\n` : ""}`,
    );
    process.stderr.write(
      `${emulator.url}/_emulator/state shows what is there, /_emulator/journal every call, and\n` +
        `  curl -H 'content-type: application/json' -d '{"effect":"drop-after","route":{"method":"POST"}}' ${emulator.url}/_emulator/faults\n` +
        `makes the next POST go wrong. Export the two lines above to point a client at it. Ctrl-C ends it.\n`,
    );
    return await stayUp(() => emulator.close());
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 1;
  }
}

function calledWrongly(problem: string): number {
  process.stderr.write(`${problem}\n\n${USAGE}`);
  return 2;
}
