import { type ChildProcess, spawn } from "node:child_process";
import { closedAmong, OPEN_SECONDS, stillClosed } from "../local/access-doors";
import { ACCESS_TOKEN_VARIABLES, accessDoors, accessTcpArguments, LOCAL_ADDRESS } from "../model/access-tcp";
import { KUBERNETES_API_PORT } from "../model/doors";
import type { AccessDoor, Platform } from "../model/platform";
import { apiTailnet } from "../model/tailnet";
import { type ApiPlace, credentialsOf, KubernetesApi } from "./kubernetes";
import { EXIT, Refusal } from "./refusal";
import type { Outputs } from "./stack";
import { tailnetPlaces } from "./tailnet";

/** Where each node's API is asked: at its public address, or at the door of it on this computer. */
export const apiPlaces = (platform: Platform, { nodeAddresses = {} }: Outputs): Readonly<Record<string, ApiPlace>> => {
  const doors = accessDoors(platform);
  return doors.length > 0
    ? Object.fromEntries(
        doors.map(({ node, hostname, port }) => [
          node,
          { host: LOCAL_ADDRESS, port, serverName: hostname, called: hostname },
        ]),
      )
    : Object.fromEntries(
        Object.entries(nodeAddresses).map(([node, host]) => [node, { host, port: KUBERNETES_API_PORT, called: host }]),
      );
};

/**
 * The same, and where that takes more: over Tailscale where this computer's says; behind Cloudflare Access after the doors were opened, with
 * the platform's own token, as `pulumi up` does it (components/cluster/api-doors.ts has the reasons), for as long as this command
 * runs. A door that is open already is used.
 */
export async function reachApi(platform: Platform, outputs: Outputs): Promise<Readonly<Record<string, ApiPlace>>> {
  const tailnet = apiTailnet(platform);
  if (tailnet !== undefined) return tailnetPlaces(tailnet);
  const closed = await closedAmong(accessDoors(platform));
  if (closed.length > 0) {
    const { apiToken } = outputs;
    const opened = openDoors(closed, {
      ...process.env,
      ...(apiToken && {
        [ACCESS_TOKEN_VARIABLES.clientId]: apiToken.clientId,
        [ACCESS_TOKEN_VARIABLES.clientSecret]: apiToken.clientSecret,
      }),
    });
    process.once("exit", () => opened.close());
    await opened.ready;
    opened.unref();
  }
  return apiPlaces(platform, outputs);
}

/** Of the servers that are ready, the first; undefined when none is. */
export async function answeringApi(
  platform: Platform,
  outputs: Outputs & { readonly kubeconfig: string },
): Promise<KubernetesApi | undefined> {
  const credentials = credentialsOf(outputs.kubeconfig);
  const places = await reachApi(platform, outputs);
  const apis = platform.cluster.servers.flatMap(({ name }) => {
    const place = places[name];
    return place === undefined ? [] : [new KubernetesApi(place, credentials)];
  });
  const ready = await Promise.all(apis.map(async (api) => (await api.readiness()).ready));
  return apis[ready.indexOf(true)];
}

export interface OpenDoors {
  /** Settles when all listen. Rejects, with the reason for people, when one does not. */
  readonly ready: Promise<void>;
  /** Settles when one has ended by itself. */
  readonly ended: Promise<void>;
  /** From now on they do not keep this process running. */
  unref(): void;
  close(): void;
}

/** One `cloudflared access tcp` a door. What it says (where to log in, too) goes to `say`. */
export function openDoors(
  doors: readonly AccessDoor[],
  environment: NodeJS.ProcessEnv,
  say: (line: string) => void = () => undefined,
): OpenDoors {
  const children = doors.map((door) => start(door, environment, say));
  const ended = Promise.race(children.map(({ ended: own }) => own)).then(() => undefined);
  const failed = Promise.race(children.map(({ failed: own }) => own));
  const over = new AbortController();
  failed.catch(() => over.abort());
  return {
    ready: Promise.race([listening(doors, over.signal), failed]),
    ended,
    unref: () => {
      for (const { child } of children) {
        child.unref();
        (child.stderr as unknown as { unref(): void }).unref();
      }
    },
    close: () => {
      over.abort();
      for (const { child } of children) child.kill();
    },
  };
}

function start(
  { hostname, port, ...door }: AccessDoor,
  environment: NodeJS.ProcessEnv,
  say: (line: string) => void,
): { child: ChildProcess; ended: Promise<void>; failed: Promise<never> } {
  const child = spawn("cloudflared", accessTcpArguments({ hostname, port, ...door }), {
    env: environment,
    stdio: ["ignore", "ignore", "pipe"],
    windowsHide: true,
  });
  let last = "it says nothing";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    for (const line of text.split("\n").filter((one) => one.trim() !== "")) {
      last = line.trim();
      say(last);
    }
  });
  const failed = new Promise<never>((_, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        new Refusal(
          error.code === "ENOENT"
            ? "The Kubernetes API is reached through Cloudflare Access, and cloudflared, which leads there, is not on PATH. Do: install it (https://developers.cloudflare.com/tunnel/downloads)."
            : `cloudflared cannot be started: ${error.message}`,
          EXIT.usage,
        ),
      ),
    );
    // Not at its exit: what it said last may still be on its way.
    child.once("close", (code) => reject(new Refusal(`cloudflared for ${hostname} ended with ${code}: ${last}`)));
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return { child, ended, failed };
}

async function listening(doors: readonly AccessDoor[], over: AbortSignal): Promise<void> {
  const left = await stillClosed(doors, { calledOff: over });
  if (left.length > 0 && !over.aborted)
    throw new Refusal(
      `cloudflared does not listen within ${OPEN_SECONDS} s for ${left.map(({ hostname }) => hostname).join(", ")}.`,
    );
}
