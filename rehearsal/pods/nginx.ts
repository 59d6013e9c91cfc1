import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { serveInProcess } from "./in-process";
import type { Play, Stage } from "./play";

const CONFIG = "/etc/nginx/conf.d/default.conf";
const NGINX_IMAGE = /(?:^|[/-])nginx(?:-unprivileged)?[:@]/;

/** One block of nginx' configuration: directives by their words, and the blocks in it. */
interface Block {
  readonly words: readonly string[];
  readonly directives: readonly (readonly string[])[];
  readonly blocks: readonly Block[];
}

/** The part of nginx' language that the maintenance page is written in; what it does not know it refuses by name. */
const KNOWN = {
  server: ["listen", "server_tokens", "root", "access_log", "error_page"],
  location: ["return", "internal", "add_header"],
} as const;

/**
 * Stands in for nginx: serves the files of the pod's volumes as the configuration among them says. It has no default type and no index; it
 * knows exact locations and prefixes, `return`, `error_page` with an internal redirect, `internal` and `add_header … always`.
 */
export const nginxPlay: Play = {
  matches: ({ spec }) => spec.containers.some(({ image }) => NGINX_IMAGE.test(image)),
  start: async (stage) => {
    const [server, ...others] = readConfig(await readFile(mounted(stage, CONFIG), "utf8"));
    if (!server || others.length > 0) throw new Error(`${CONFIG}: one server is played, it has ${others.length + 1}`);
    const site = new Site(server, (path) => mounted(stage, path));
    const listening = createServer((request, response) => {
      request.resume();
      void site.answer((request.url ?? "/").split("?", 1)[0]!, response).catch((error: Error) => {
        response.destroy(error);
      });
    });
    return await serveInProcess([[listening, site.port]], stage.podIP);
  },
};

/** A file of the container: from the volume that is mounted nearest. */
function mounted({ pod, volumes }: Pick<Stage, "pod" | "volumes">, path: string): string {
  const mount = (pod.spec.containers[0]?.volumeMounts ?? [])
    .filter(({ mountPath }) => path.startsWith(`${mountPath}/`))
    .sort((one, other) => other.mountPath.length - one.mountPath.length)[0];
  if (!mount) throw new Error(`${path} lies in no volume of the pod ${pod.metadata.name}`);
  return join(volumes.at(mount.name), path.slice(mount.mountPath.length));
}

class Site {
  readonly port: number;
  readonly #server: Block;
  readonly #read: (path: string) => string;

  constructor(server: Block, read: (path: string) => string) {
    this.#server = server;
    this.#read = read;
    this.port = Number(directive(server, "listen")?.[1]);
  }

  async answer(path: string, response: ServerResponse): Promise<void> {
    const location = this.#locationOf(path);
    if (directive(location, "internal")) return void response.writeHead(404).end();
    const [, status] = directive(location, "return") ?? [];
    if (status === undefined) return this.#file(path, 200, response);
    const page = this.#server.directives.find(([name, code]) => name === "error_page" && code === status)?.[2];
    if (page === undefined) return void response.writeHead(Number(status)).end();
    return this.#file(page, Number(status), response);
  }

  async #file(path: string, status: number, response: ServerResponse): Promise<void> {
    const location = this.#locationOf(path);
    const headers = location.directives.filter(([name]) => name === "add_header");
    const body = await readFile(this.#read(`${directive(this.#server, "root")?.[1]}${path}`));
    for (const [, name = "", value = ""] of headers) response.setHeader(name, value);
    response.writeHead(status, { "content-type": "text/html", "content-length": body.length }).end(body);
  }

  /** An exact one first, then the longest prefix. */
  #locationOf(path: string): Block {
    const { blocks } = this.#server;
    const exact = blocks.find(({ words }) => words[1] === "=" && words[2] === path);
    const prefixes = blocks.filter(({ words }) => words.length === 2 && path.startsWith(words[1]!));
    const found = exact ?? prefixes.sort((one, other) => other.words[1]!.length - one.words[1]!.length)[0];
    if (!found) throw new Error(`no location takes ${path}`);
    return found;
  }
}

const directive = ({ directives }: Block, name: string): readonly string[] | undefined =>
  directives.find(([first]) => first === name);

/** The server blocks of a file. Throws for what this stand-in would do otherwise than nginx. */
export function readConfig(text: string): readonly Block[] {
  const words = text.replaceAll(/#.*$/gm, "").match(/"[^"]*"|[{};]|[^\s{};"]+/g) ?? [];
  let at = 0;
  const block = (own: readonly string[]): Block => {
    const directives: string[][] = [];
    const blocks: Block[] = [];
    let current: string[] = [];
    for (; at < words.length && words[at] !== "}"; at++) {
      const word = words[at]!;
      if (word === ";") {
        directives.push(current);
        current = [];
      } else if (word === "{") {
        at++;
        blocks.push(block(current));
        current = [];
      } else current.push(word.replaceAll('"', ""));
    }
    return { words: own, directives, blocks };
  };
  const { blocks, directives } = block([]);
  for (const one of blocks) check(one, "server");
  if (directives.length > 0) throw new Error(`${CONFIG}: "${directives[0]!.join(" ")}" stands outside of a server`);
  return blocks;
}

function check({ words, directives, blocks }: Block, kind: keyof typeof KNOWN): void {
  if (words[0] !== kind)
    throw new Error(`${CONFIG}: the stand-in for nginx does not know the block "${words.join(" ")}"`);
  for (const [name = "", ...rest] of directives) {
    const isAlways = name !== "add_header" || rest[2] === "always";
    if (!(KNOWN[kind] as readonly string[]).includes(name) || !isAlways)
      throw new Error(`${CONFIG}: the stand-in for nginx does not know "${[name, ...rest].join(" ")}"`);
  }
  for (const inner of blocks) check(inner, "location");
}
