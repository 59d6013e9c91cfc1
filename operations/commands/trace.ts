import type { Platform } from "../../model/platform";
import { type Walk, walk } from "../../model/walk";
import { answeringApi } from "../api-doors";
import { addressesOf, ask, judgeLive, type LiveSeen, type PodCount } from "../live-trace";
import { EXIT, Refusal } from "../refusal";
import { Stack, type StackOptions } from "../stack";
import { openStackFile } from "../stack-file";
import type { Terminal } from "../terminal";
import { renderTrace, traced, type TraceReport, urlOf } from "../trace";

export interface TraceOptions extends StackOptions {
  readonly json?: boolean;
  /** Asks DNS, the address itself and, where the stack is up, the Kubernetes API. */
  readonly live?: boolean;
  /** `host:port` that is asked instead of what DNS says. */
  readonly connectTo?: string;
}

interface Caller {
  readonly environment: NodeJS.ProcessEnv;
  readonly callerDirectory: string;
}

/** `trivet trace <url>`: the way of a request, hop by hop, by the definition and the settings; with `--live` also what is there now. */
export async function trace(text: string, options: TraceOptions, terminal: Terminal, caller: Caller): Promise<number> {
  const url = urlOf(text);
  if (url === undefined) {
    throw new Refusal(
      `"${text}" is no address of the web. Do: name one such as https://api.example.com/v1`,
      EXIT.usage,
    );
  }
  if (options.connectTo !== undefined && !/^.+:\d+$/.test(options.connectTo)) {
    throw new Refusal(
      `--connect-to is "${options.connectTo}"; allowed: host:port, such as 203.0.113.11:443.`,
      EXIT.usage,
    );
  }
  const { name, platform } = openStackFile(options, caller.callerDirectory, url.hostname);
  const way = walk(platform, url);
  const isLive = options.live === true || options.connectTo !== undefined;
  const live = isLive ? judgeLive(platform, way, await look(url, platform, way, name, options, caller)) : undefined;
  const report = traced(name, way, live);
  terminal.result(
    options.json === true
      ? JSON.stringify(report, undefined, 2)
      : renderTrace(report, (...args) => terminal.paint(...args)),
  );
  return exitCode(report);
}

/** What was seen decides where something was asked; a way that ends where the definition has it end is still one that ends. */
export const exitCode = ({ arrives, hops, live }: TraceReport): number => {
  const seen = live === undefined ? [] : [live.answer, ...hops.flatMap(({ now }) => now ?? [])];
  if (!arrives || seen.some(({ verdict }) => verdict === "fail")) return EXIT.problems;
  return seen.some(({ verdict }) => verdict === "unknown") ? EXIT.usage : EXIT.well;
};

async function look(
  url: URL,
  platform: Platform,
  way: Walk,
  stack: string,
  { configFile, connectTo }: TraceOptions,
  caller: Caller,
): Promise<LiveSeen> {
  const [addresses, answer, pods] = await Promise.all([
    connectTo === undefined ? addressesOf(url.hostname) : undefined,
    ask(url, connectTo),
    podsOf(platform, way, { stack, ...(configFile === undefined ? {} : { configFile }) }, caller),
  ]);
  return { addresses, answer, traefik: pods?.traefik, endpoints: pods?.endpoints };
}

/** Behind a tunnel another Traefik, on the servers, takes visitors in an emergency; where it is prepared both run. */
const traefikOf = ({ edge }: Platform): string =>
  edge.kind === "tunnel" && edge.mode === "direct" ? "traefik-direct" : "traefik";

/** Undefined where nobody can be asked: no login to the state, nothing brought up, no API server that answers from here. */
async function podsOf(
  platform: Platform,
  { hops }: Walk,
  options: StackOptions,
  caller: Caller,
): Promise<{ readonly traefik: PodCount; readonly endpoints: PodCount | undefined } | undefined> {
  try {
    const outputs = await (await Stack.open(options, caller)).outputs();
    const { kubeconfig } = outputs;
    if (kubeconfig === undefined) return undefined;
    const api = await answeringApi(platform, { ...outputs, kubeconfig });
    if (api === undefined) return undefined;
    const [service] = /^[a-z0-9-]+/.exec(hops.find(({ place }) => place === "container")?.says ?? "") ?? [];
    const [traefik, endpoints] = await Promise.all([
      api.readyPods(platform.ingressNamespace, `app.kubernetes.io/name=${traefikOf(platform)}`),
      service === undefined ? undefined : api.readyEndpoints(platform.namespace, service),
    ]);
    return { traefik, endpoints };
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}
