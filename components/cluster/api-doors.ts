import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { closedAmong, OPEN_SECONDS, stillClosed } from "../../local/access-doors";
import { ACCESS_TOKEN_VARIABLES, accessDoors, accessTcpArguments, LOCAL_ADDRESS } from "../../model/access-tcp";
import { KUBERNETES_API_PORT } from "../../model/doors";
import type { AccessDoor, Platform } from "../../model/platform";

/**
 * The way from here to the API of one node. Everything that speaks to the Kubernetes API takes one: the provider's kubeconfig, the look at
 * a booting server, the roll.
 */
export interface ApiDoor {
  /** The node's name. */
  readonly node: string;
  readonly host: string;
  /** Where it is now, where that changes: asked before each connection, and rejects with the reason when it is nowhere. @default the host */
  readonly where?: () => Promise<string>;
  readonly port: number;
  /** Under which name its certificate is checked. @default the host */
  readonly serverName?: string;
  /** For people, where the host alone tells nothing. @default the host */
  readonly called?: string;
  /** What cloudflared said last, for an error's sake: a connection that it closes tells nothing. */
  readonly says?: () => string | undefined;
}

/** By its public address: the API's own port, which the firewall opens to operators. */
export const doorAt = (node: string, address: string): ApiDoor => ({ node, host: address, port: KUBERNETES_API_PORT });

export const addressOf = async ({ host, where }: ApiDoor): Promise<string> => (where === undefined ? host : where());

export const nameOf = ({ host, called = host }: ApiDoor): string => called;

/** What a failure means, in words. */
export const reasonOf = (error: unknown, { says }: ApiDoor, timeoutSeconds: number): string => {
  const { name, message } = error as Error;
  const reason = name === "AbortError" || name === "TimeoutError" ? `no answer in ${timeoutSeconds} s` : message;
  const more = says?.();
  return more === undefined ? reason : `${reason} (cloudflared: ${more})`;
};

/** Shown to Cloudflare Access. Secret. */
export interface AccessToken {
  readonly clientId: string;
  readonly clientSecret: string;
}

const KEEPER = join(__dirname, "door-keeper.ts");

/**
 * Opens the ways through Cloudflare Access, and leaves them open until the engine ends. The decision: the program starts `cloudflared access
 * tcp` itself, with a service token that the platform has for this.
 *
 *  - It is the documented client of Cloudflare Access for TCP; what it speaks to the edge is not documented, so nothing here plays it.
 *  - Whoever may run `pulumi up` can read the administrator's certificate in the state anyhow. A token beside it gives them nothing new, and a
 *    fresh computer or a job needs no login. People who use kubectl log in as themselves (`npx trivet api`).
 *  - Ports are fixed by the settings, since the kubeconfig is an input of the Kubernetes provider: another port would be a change in every run.
 *  - A port that listens already is taken for an open door: it is, when `npx trivet api` or another run has opened it. TLS decides whether
 *    the right cluster is behind it.
 *
 * Throws an error for people when cloudflared is missing or does not listen.
 */
export async function openDoors(
  platform: Platform,
  token: AccessToken,
  { path = process.env["PATH"] ?? "", whileRuns = process.ppid } = {},
): Promise<readonly ApiDoor[]> {
  const doors = accessDoors(platform);
  const words = new Map<AccessDoor, string>();
  const closed = await closedAmong(doors);
  if (closed.length > 0) {
    if (!isOnPath("cloudflared", path)) throw new Error(missing(platform.name));
    keepOpen(closed, token, whileRuns, (door, says) => words.set(door, says));
    const left = await stillClosed(closed);
    if (left.length > 0) throw new Error(didNotOpen(left, words));
  }
  return doors.map((door) => ({
    node: door.node,
    host: LOCAL_ADDRESS,
    port: door.port,
    serverName: door.hostname,
    called: door.hostname,
    says: () => words.get(door),
  }));
}

const missing = (platform: string): string =>
  `The Kubernetes API of ${platform} is reached through Cloudflare Access (edge.operators.kubernetesApi), and cloudflared, which leads there, ` +
  "is not on PATH. Do: install it (https://developers.cloudflare.com/tunnel/downloads), then again";

const didNotOpen = (left: readonly AccessDoor[], words: ReadonlyMap<AccessDoor, string>): string =>
  `cloudflared does not listen within ${OPEN_SECONDS} s: ${left
    .map((door) => `${door.hostname} on ${LOCAL_ADDRESS}:${door.port}: ${words.get(door) ?? "it says nothing"}`)
    .join("; ")}`;

function keepOpen(
  doors: readonly AccessDoor[],
  { clientId, clientSecret }: AccessToken,
  whileRuns: number,
  heard: (door: AccessDoor, says: string) => void,
): void {
  // A session of its own: Ctrl-C is for the engine, which then still has to put things in order through these doors.
  const keeper = spawn(process.execPath, ["--no-warnings", KEEPER], {
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
    windowsHide: true,
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  // A keeper that could not begin is seen by doors that stay closed.
  keeper.stdin.on("error", () => undefined);
  keeper.stdin.end(
    JSON.stringify({
      doors: doors.map(accessTcpArguments),
      variables: {
        [ACCESS_TOKEN_VARIABLES.clientId]: clientId,
        [ACCESS_TOKEN_VARIABLES.clientSecret]: clientSecret,
      },
      whileRuns,
    }),
  );
  createInterface({ input: keeper.stdout }).on("line", (line) => {
    const { door, says } = JSON.parse(line) as { door: number; says: string };
    heard(doors[door]!, wordsIn(says));
  });
  // The program ends when its own work is done.
  keeper.unref();
  (keeper.stdout as unknown as { unref(): void }).unref();
  (keeper.stdin as unknown as { unref(): void }).unref();
}

/** Of a line of cloudflared's log (`2026-11-21T12:00:00Z ERR failed to connect … error="websocket: bad handshake"`) what a person needs. */
const wordsIn = (line: string): string => line.replace(/^\S+Z (INF|ERR|WRN|FTL|DBG) /, "").trim();

/** On Windows with what makes it executable there. */
const isOnPath = (program: string, path: string): boolean =>
  path.split(delimiter).some((folder) => ["", ".exe", ".cmd"].some((end) => existsSync(join(folder, program + end))));
