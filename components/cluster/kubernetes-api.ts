import { request } from "node:https";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import { addressOf, type ApiDoor, nameOf, reasonOf } from "./api-doors";

/** What proves to the API server who asks, and to us who answers. */
export interface Credentials {
  readonly authorityPem: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** What the boot script says of a node that boots (components/cluster/node/boot.py). */
export interface BootStatus {
  readonly node: string;
  readonly stage: "network" | "packages" | "download" | "rendezvous" | "restore" | "start" | "failed";
  readonly reason: string;
  /** How long it has been at this stage. */
  readonly seconds: number;
  readonly generation: number;
  readonly definition: string;
  /** Without data of any cluster. */
  readonly fresh: boolean;
  /** The last lines of its console. */
  readonly log: readonly string[];
}

/** `boot` is there while the boot script is the one that answers. */
export type Answer =
  { readonly ready: true } | { readonly ready: false; readonly reason: string; readonly boot?: BootStatus };

/** The only name in the certificate with which agents answer while they boot: all of them have the same one. */
export const AGENT_STATUS_NAME = "agent.trivet.internal";

/** A kubeconfig for the administrator, pointing at one server. It holds a private key. */
export const kubeconfig = (
  clusterName: string,
  { host, port, serverName }: ApiDoor,
  { authorityPem, certificatePem, privateKeyPem }: Credentials,
): string => {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  return stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        {
          name: clusterName,
          cluster: {
            server: `https://${host}:${port}`,
            ...(serverName === undefined ? {} : { "tls-server-name": serverName }),
            "certificate-authority-data": base64(authorityPem),
          },
        },
      ],
      users: [
        {
          name: clusterName,
          user: { "client-certificate-data": base64(certificatePem), "client-key-data": base64(privateKeyPem) },
        },
      ],
      contexts: [{ name: clusterName, context: { cluster: clusterName, user: clusterName } }],
      "current-context": clusterName,
    },
    { lineWidth: 0 },
  );
};

/**
 * Asks a server whether its Kubernetes API is ready. Until K3s listens there, the boot script answers on the same port and says
 * what it is waiting for. Never throws: every failure is a reason.
 */
export const askServer = async (door: ApiDoor, credentials: Credentials, timeoutSeconds: number): Promise<Answer> => {
  try {
    const { status, body } = await get(door, credentials, timeoutSeconds);
    return status === 200 ? { ready: true } : notReady(status, body);
  } catch (error) {
    return { ready: false, reason: reasonOf(error, door, timeoutSeconds) };
  }
};

const get = async (
  door: ApiDoor,
  { authorityPem, certificatePem, privateKeyPem }: Credentials,
  timeoutSeconds: number,
): Promise<{ status: number; body: string }> => {
  const { port, serverName } = door;
  const host = await addressOf(door);
  return new Promise((resolve, reject) => {
    request(
      {
        host,
        port,
        ...(serverName === undefined ? {} : { servername: serverName }),
        path: "/readyz",
        ca: authorityPem,
        cert: certificatePem,
        key: privateKeyPem,
        agent: false,
        signal: AbortSignal.timeout(timeoutSeconds * 1000),
      },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (part: string) => (body += part));
        response.on("error", reject);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      },
    )
      .on("error", reject)
      .end();
  });
};

/** The words of the boot script where it is the one that answers, else those of the API server. */
function notReady(status: number, body: string): Answer {
  const boot = bootStatusIn(body);
  if (boot) return { ready: false, reason: `${boot.stage}: ${boot.reason}, ${boot.seconds} s`, boot };
  if (status === 401 || status === 403)
    return { ready: false, reason: `refuses the administrator's certificate (${status})` };
  const failed = body.match(/^\[-\](\S+)/m)?.[1];
  return { ready: false, reason: failed === undefined ? `answers ${status}` : `is not ready: ${failed}` };
}

function bootStatusIn(body: string): BootStatus | undefined {
  try {
    return (JSON.parse(body) as { trivet?: BootStatus }).trivet;
  } catch {
    return undefined; // not the boot script
  }
}

export interface Server {
  readonly name: string;
  readonly door: ApiDoor;
}

export interface SearchArgs {
  /** In order of preference: the first that answers is taken, and always the same one while all do. */
  readonly servers: readonly Server[];
  readonly ask: (door: ApiDoor) => Promise<Answer>;
  /** After this the search ends with an error. 0 asks once and settles for the first server, ready or not. */
  readonly deadlineSeconds: number;
  /** What an earlier server still gets once a later one answers, so that two runs in a row choose the same one. */
  readonly graceSeconds: number;
  readonly periodSeconds: number;
  readonly progress: (line: string) => void;
  /** Begins the sentence about where to look when none has answered. */
  readonly advice: string;
  /** For tests. @default performance.now and timers */
  readonly clock?: { now(): number; sleep(seconds: number): Promise<void> };
}

const systemClock = {
  now: (): number => performance.now() / 1000,
  sleep: async (seconds: number): Promise<void> => void (await delay(seconds * 1000)),
};

/** Without an answer, one of these is the reason. */
export const ADVICE = {
  addresses:
    "If this computer's address is not among trivet:operators, the firewall drops it without a word; otherwise",
  access:
    "Behind Cloudflare Access nothing is seen of a cluster before one of its servers runs K3s and the connector: until then",
  tailscale:
    "A server joins the tailnet soon after it has booted, if its key (edge.operators.tailnet.authKey) is still good and the tailnet's policy lets this computer reach port 6443 of its tag; otherwise",
} as const;

/** The way to the server that the Kubernetes provider is to talk to. */
export async function answeringServer({
  servers,
  ask,
  deadlineSeconds,
  graceSeconds,
  periodSeconds,
  progress,
  advice,
  clock = systemClock,
}: SearchArgs): Promise<ApiDoor> {
  const [first] = servers;
  if (first === undefined) throw new Error("The cluster has no server");
  const begun = clock.now();
  let firstAnswerAt: number | undefined;
  for (;;) {
    const answers = await Promise.all(servers.map(({ door }) => ask(door)));
    const at = answers.findIndex(({ ready }) => ready);
    const elapsed = clock.now() - begun;
    const found = servers[at];
    if (found !== undefined) {
      firstAnswerAt ??= elapsed;
      if (at === 0 || deadlineSeconds === 0 || elapsed - firstAnswerAt >= graceSeconds) return found.door;
    } else if (deadlineSeconds === 0) {
      return first.door;
    }
    const reasons = servers.flatMap(({ name, door }, index) => {
      const answer = answers[index];
      return answer && !answer.ready ? [`${name} (${nameOf(door)}): ${answer.reason}`] : [];
    });
    if (found === undefined && elapsed >= deadlineSeconds) {
      throw new Error(
        `No server's Kubernetes API became ready within ${deadlineSeconds} s. ${reasons.join("; ")}. ` +
          `${advice} the servers' consoles at Hetzner say what they wait for. Servers that are gone from Hetzner are noticed by ` +
          "`pulumi refresh --target '**hcloud:index/server:Server::**'`; if too many are lost: `trivet restore <snapshot>` or `trivet rebuild`.",
      );
    }
    progress(`waiting for the Kubernetes API, ${Math.round(elapsed)} s: ${reasons.join("; ")}`);
    await clock.sleep(periodSeconds);
  }
}
