import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { KUBERNETES_API_PORT } from "../model/doors";
import type { Tailnet } from "../model/platform";
import { TAILSCALE_STATUS, tailnetView } from "../model/tailnet";
import type { ApiPlace } from "./kubernetes";
import { EXIT, Refusal } from "./refusal";

const run = promisify(execFile);
const TIMEOUT_MILLISECONDS = 10_000;

/**
 * Where each server's API is asked over Tailscale, as this computer's own Tailscale knows it (components/cluster/tailnet-doors.ts has the
 * reasons). A server that is not in the tailnet has its name there, which then leads nowhere. Refuses where this computer is not in it.
 */
export async function tailnetPlaces(tailnet: Tailnet): Promise<Readonly<Record<string, ApiPlace>>> {
  const { addresses, problem } = tailnetView(tailnet, await status());
  if (addresses === undefined)
    throw new Refusal(
      `The Kubernetes API is reached over Tailscale, in the tailnet ${tailnet.name}: ${problem}.`,
      EXIT.usage,
    );
  return Object.fromEntries(
    tailnet.devices.map(({ node, fqdn }) => [
      node,
      { host: addresses.get(node) ?? fqdn, port: KUBERNETES_API_PORT, serverName: fqdn, called: fqdn },
    ]),
  );
}

async function status(): Promise<string> {
  try {
    const { stdout } = await run(TAILSCALE_STATUS.command, TAILSCALE_STATUS.arguments, {
      env: process.env,
      timeout: TIMEOUT_MILLISECONDS,
      maxBuffer: 64 * 1024 * 1024,
      windowsHide: true,
    });
    return stdout;
  } catch (error) {
    const { code, stderr = "", message } = error as NodeJS.ErrnoException & { stderr?: string };
    throw new Refusal(
      code === "ENOENT"
        ? "The Kubernetes API is reached over Tailscale, and tailscale is not on PATH. Do: install it (https://tailscale.com/download), then tailscale up."
        : `The Kubernetes API is reached over Tailscale, and this computer's does not answer: ${stderr.trim().split("\n").at(-1) || message}`,
      EXIT.usage,
    );
  }
}
