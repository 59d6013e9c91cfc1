import { closedAmong } from "../../local/access-doors";
import { accessDoors, LOCAL_ADDRESS } from "../../model/access-tcp";
import { apiTailnet } from "../../model/tailnet";
import { openDoors } from "../api-doors";
import { EXIT, Refusal } from "../refusal";
import type { Stack } from "../stack";
import { table } from "../status";
import type { Terminal } from "../terminal";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * `trivet api`: opens the ways to Kubernetes APIs that are behind Cloudflare Access, for kubectl, until Ctrl-C. Whoever runs it passes as
 * themselves: cloudflared asks them to log in, in a browser; a job has the platform's token (output `apiToken`) in cloudflared's own variables.
 */
export async function api(stack: Stack, terminal: Terminal, environment: NodeJS.ProcessEnv): Promise<number> {
  const platform = await stack.platform();
  const doors = accessDoors(platform);
  if (doors.length === 0) {
    const way = apiTailnet(platform) === undefined ? "by the servers' addresses" : "over Tailscale";
    throw new Refusal(
      `The Kubernetes API of ${platform.name} is reached ${way}: there is nothing to open.`,
      EXIT.usage,
    );
  }
  const closed = await closedAmong(doors);
  if (closed.length === 0) {
    terminal.say("The doors are open already: another trivet api, or a pulumi up that runs.");
    return EXIT.well;
  }
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of SIGNALS) process.once(signal, () => resolve());
  });
  const opened = openDoors(closed, environment, (line) => terminal.say(line));
  try {
    await opened.ready;
    terminal.say(
      [
        `The Kubernetes API of ${platform.name}, through Cloudflare Access:`,
        ...table(doors.map(({ node, hostname, port }) => [`  ${node}`, `${LOCAL_ADDRESS}:${port}`, hostname])),
        "The stack's kubeconfig leads there: pulumi stack output --show-secrets kubeconfig > kubeconfig",
        "Ctrl-C ends it.",
      ].join("\n"),
    );
    const end = await Promise.race([interrupted.then(() => "asked"), opened.ended.then(() => "lost")]);
    if (end === "lost") throw new Refusal("cloudflared has ended by itself; its last words are above.");
    return EXIT.well;
  } finally {
    opened.close();
  }
}
