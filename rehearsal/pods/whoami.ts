import { createServer, type Server } from "node:http";
import { serveInProcess } from "./in-process";
import type { Play } from "./play";

/**
 * What a stand-in for a service's image answers: who it is and what it was asked. With `kib=N` in the query, that much more;
 * with `wait=N` so many milliseconds later.
 */
export interface WhoamiAnswer {
  pod: string;
  node: string;
  port: number;
  method: string;
  path: string;
  /** Of the connection: the server on which Traefik is. */
  from: string;
  /** As they came, repeated ones joined by comma. */
  headers: Record<string, string>;
  /** Records as an API lists them, for `?kib=N`. */
  list?: readonly object[];
}

/** About a quarter of a KiB in JSON, and as compressible as such lists are. */
const LISTED = Array.from({ length: 4 * 1024 }, (_, index) => ({
  id: `00000000-0000-4000-8000-${(index * 2_654_435_761).toString(16).padStart(12, "0")}`,
  createdAt: new Date(1_790_000_000_000 + index * 86_413_000).toISOString(),
  title: `Entry number ${index}`,
  done: index % 3 === 0,
  tags: ["home", "garden", "weekly"].slice(index % 3),
  note: "What is to be done, by whom, and until when it should be done at the latest.",
}));

const listOf = (path: string): Pick<WhoamiAnswer, "list"> => {
  const kibibytes = Number(/[?&]kib=(\d+)/.exec(path)?.[1] ?? 0);
  return kibibytes === 0 ? {} : { list: LISTED.slice(0, 4 * kibibytes) };
};

/**
 * Stands in for any image that listens: on each port of the pod, at the pod's own address, a small HTTP server that tells what it was
 * asked.
 */
export const whoamiPlay: Play = {
  matches: ({ spec }) => spec.hostNetwork !== true,
  start: ({ pod, place, podIP }) => {
    const ports = pod.spec.containers.flatMap(({ ports = [] }) => ports).filter(({ protocol }) => protocol !== "UDP");
    const who = { pod: pod.metadata.name, node: place.name };
    return serveInProcess(
      ports.map(({ containerPort }) => [whoami(who, containerPort), containerPort] as const),
      podIP,
    );
  },
};

const whoami = (who: { pod: string; node: string }, port: number): Server =>
  createServer((request, response) => {
    const answer: WhoamiAnswer = {
      ...who,
      port,
      method: request.method ?? "",
      path: request.url ?? "",
      from: request.socket.remoteAddress ?? "",
      headers: Object.fromEntries(
        Object.entries(request.headersDistinct).map(([name, values = []]) => [name, values.join(", ")]),
      ),
      ...listOf(request.url ?? ""),
    };
    const wait = Number(/[?&]wait=(\d+)/.exec(answer.path)?.[1] ?? 0);
    const reply = (): void => {
      response.writeHead(200, { "content-type": "application/json", "x-rehearsal-pod": who.pod });
      response.end(`${JSON.stringify(answer)}\n`);
    };
    // The body is read to its end first: who closes before that loses the answer.
    request.resume();
    request.once("end", () => (wait === 0 ? reply() : void setTimeout(reply, wait)));
  });
