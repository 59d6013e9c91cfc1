import { keysAt } from "./access-check";
import { startAccessTcp } from "./access-tcp";
import { startConnector } from "./connector";
import { servicesFromFile } from "./services";
import { readSettings, type Settings } from "./settings";

const log = (level: string, message: string): void =>
  void process.stderr.write(`${new Date().toISOString()} ${level} ${message}\n`);

/** What runs, told to end: gently once, then at once. */
interface Service {
  readonly says: string;
  stop(): Promise<void>;
  kill(): void;
}

async function start(settings: Settings): Promise<Service> {
  if (settings.command === "access tcp") {
    const { serviceToken, ...rest } = settings;
    const forward = await startAccessTcp({ ...rest, ...(serviceToken && { serviceToken }), log });
    return {
      says: `Start Websocket listener host=${forward.address}`,
      stop: () => forward.close(),
      kill: () => void forward.close(),
    };
  }
  const { servicesFile, accessCerts, ...rest } = settings;
  const connector = await startConnector({
    ...rest,
    ...(servicesFile !== undefined && { services: servicesFromFile(servicesFile) }),
    ...(accessCerts !== undefined && { accessKeys: keysAt(accessCerts) }),
    log,
  });
  return {
    says: `Starting metrics server on ${connector.metricsUrl.replace("http://", "")}/metrics`,
    stop: () => connector.stop(),
    kill: () => connector.kill(),
  };
}

/** Runs until SIGTERM or SIGINT, then drains; a second signal does not wait. Gives the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  let service: Service;
  try {
    service = await start(readSettings(argv, process.env));
  } catch (error) {
    log("ERR", (error as Error).message);
    return 1;
  }
  log("INF", "Stand-in for cloudflared, of a rehearsal: it speaks to an emulated edge only");
  log("INF", service.says);
  await new Promise<void>((resolve) => {
    let told = false;
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.on(signal, () => {
        if (told) {
          service.kill();
          return resolve();
        }
        told = true;
        void service.stop().then(resolve);
      });
  });
  return 0;
}

void main(process.argv.slice(2)).then((code) => process.exit(code));
