import { setTimeout as delay } from "node:timers/promises";
import type { ServerFiles } from "../k3s/host";
import { TAILNET_KEY_PATH, TAILNET_SETTINGS_PATH, type Tailnet, tailnetSettingsSchema } from "./tailnet";

/** After the first failure, the second, ...; the last one is kept. As in node/tailnet.py. */
const RETRY_SECONDS = [5, 10, 20, 30] as const;

/** A minute on a real server. */
const LOOK_AGAIN_SECONDS = 1;

/** Where Tailscale keeps a device's key. A reboot finds it, a rebuild wipes it. */
const STATE_PATH = "/var/lib/tailscale/tailscaled.state";

/**
 * What node/tailnet.py and Tailscale do on a server, from power on to power off: in the tailnet as soon as it lets the server in, whatever
 * becomes of K3s. Nothing where the user-data does not ask for it.
 */
export async function keepInTailnet({
  tailnet,
  files,
  address,
  power,
  say,
}: {
  /** Undefined where nobody plays one. */
  tailnet: Tailnet | undefined;
  files: ServerFiles;
  address: string;
  power: AbortSignal;
  say: (line: string) => void;
}): Promise<void> {
  const text = await files.read(TAILNET_SETTINGS_PATH);
  if (text === undefined) return;
  const tell = (line: string): void => say(`trivet: tailnet: ${line}`);
  if (tailnet === undefined) return tell("there is none here: this server cannot be reached over it");
  let id: string | undefined;
  power.addEventListener("abort", () => id !== undefined && tailnet.leave(id), { once: true });
  for (let failures = 0; !power.aborted;) {
    try {
      const before = id;
      id = await devicesId(tailnet, files, address, text, tell);
      if (power.aborted) return tailnet.leave(id);
      if (id !== before) tell(`operators reach this server as ${tailnet.fqdn(id)}`);
      failures = 0;
      await pause(LOOK_AGAIN_SECONDS, power);
    } catch (error) {
      tell(`failed: ${(error as Error).message}`);
      await pause(RETRY_SECONDS[Math.min(failures++, RETRY_SECONDS.length - 1)]!, power);
    }
  }
}

/** Of the device that this disk is; a new one where the tailnet knows none. */
async function devicesId(
  tailnet: Tailnet,
  files: ServerFiles,
  address: string,
  text: string,
  tell: (line: string) => void,
): Promise<string> {
  const known = await files.read(STATE_PATH);
  if (known !== undefined && tailnet.arrive(known)) return known;
  const settings = tailnetSettingsSchema.parse(JSON.parse(text));
  tell(`logging in as ${settings.hostname} with ${settings.tag}`);
  const id = tailnet.login({ ...settings, address, key: (await files.read(TAILNET_KEY_PATH)) ?? "" });
  await files.write(STATE_PATH, id);
  return id;
}

const pause = (seconds: number, power: AbortSignal): Promise<void> =>
  delay(seconds * 1000, undefined, { signal: power }).catch(() => undefined);
