import { keysAt } from "./access-check";
import { startConnector } from "./connector";
import { servicesFromFile } from "./services";
import { readSettings } from "./settings";

const log = (level: string, message: string): void =>
  void process.stderr.write(`${new Date().toISOString()} ${level} ${message}\n`);

/** Runs until SIGTERM or SIGINT, then drains; a second signal does not wait. Gives the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  let connector;
  try {
    const { servicesFile, accessCerts, ...settings } = readSettings(argv, process.env);
    connector = await startConnector({
      ...settings,
      ...(servicesFile !== undefined && { services: servicesFromFile(servicesFile) }),
      ...(accessCerts !== undefined && { accessKeys: keysAt(accessCerts) }),
      log,
    });
  } catch (error) {
    log("ERR", (error as Error).message);
    return 1;
  }
  log("INF", "Stand-in for cloudflared, of a rehearsal: it speaks to an emulated edge only");
  log("INF", `Starting metrics server on ${connector.metricsUrl.replace("http://", "")}/metrics`);
  const { stop, kill } = connector;
  await new Promise<void>((resolve) => {
    let told = false;
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.on(signal, () => {
        if (told) {
          kill();
          return resolve();
        }
        told = true;
        void stop().then(resolve);
      });
  });
  return 0;
}

void main(process.argv.slice(2)).then((code) => process.exit(code));
