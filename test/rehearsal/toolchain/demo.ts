import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EnsureOptions, type ToolProgress } from "../../../rehearsal/toolchain";
import { currentPlatform, type GoRecipe, type Release, type ToolPin } from "../../../rehearsal/toolchain/catalog";

export const VERSION = "1.2.3";

/** A program that answers `--version`. The comment makes two programs of one version different files. */
export const program = (version: string, comment = ""): string =>
  `#!/bin/sh\n# ${comment}\necho "$(basename "$0") version v${version} go1.26"\n`;

export const sha256 = (content: string | Buffer): string => createHash("sha256").update(content).digest("hex");

/**
 * A machine of its own for one test: an empty cache, a PATH with nothing but the basic commands, a catalog of small
 * tools, a download site and a Go that are not the real ones.
 */
export class DemoMachine {
  readonly folder = mkdtempSync(join(tmpdir(), "trivet-toolchain-"));
  readonly cache = join(this.folder, "cache", "trivet");
  readonly bin = join(this.folder, "bin");
  readonly modules = join(this.folder, "modules");
  readonly goLog = join(this.folder, "go.log");
  readonly progress: ToolProgress[] = [];
  readonly catalog: Record<string, ToolPin> = {};

  constructor() {
    mkdirSync(this.bin, { recursive: true });
    mkdirSync(join(this.modules, "demo"), { recursive: true });
    writeFileSync(join(this.modules, "demo", "go.mod"), "module demo.example\n");
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  tool(name: string, parts: { release?: Release; go?: GoRecipe; version?: string } = {}): ToolPin {
    const pin: ToolPin = {
      name,
      version: parts.version ?? VERSION,
      purpose: "shows how it works",
      fits: { from: "1.2.0", below: "1.3.0" },
      versionArguments: ["--version"],
      releases: parts.release ? { [currentPlatform()]: parts.release } : {},
      go: parts.go ?? this.recipe(`demo.example/cmd/${name}`),
    };
    this.catalog[name] = pin;
    return pin;
  }

  recipe(goPackage: string): GoRecipe {
    return { module: "demo", package: goPackage, tags: "some,tags", ldflags: "-s -w", packages: 3, seconds: 60 };
  }

  get options(): EnsureOptions {
    return {
      cache: this.cache,
      modules: this.modules,
      catalog: this.catalog,
      // The last port: nothing listens there.
      downloadBase: "http://127.0.0.1:65535",
      environment: { PATH: `${this.bin}:/usr/bin:/bin`, HOME: this.folder },
      parallelism: 2,
      onProgress: (progress) => this.progress.push(progress),
    };
  }

  put(name: string, content: string, folder = this.bin): string {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, name);
    writeFileSync(path, content);
    chmodSync(path, 0o755);
    return path;
  }

  /**
   * A `go` that writes down how it was called and "builds" a program of the wanted version.
   * @param body shell that runs instead of the successful ending; `$output` is the file to write
   */
  putGo(body?: string): void {
    const result = join(this.folder, "built");
    writeFileSync(result, program(VERSION, "built by go"));
    this.put(
      "go",
      `#!/bin/sh
output=""; previous=""
for argument in "$@"; do [ "$previous" = "-o" ] && output="$argument"; previous="$argument"; done
echo "$$ $PWD CGO_ENABLED=$CGO_ENABLED GOWORK=$GOWORK $*" >> ${this.goLog}
echo "go: downloading demo.example/dependency v1.0.0" >&2
echo "demo.example/dependency" >&2
${body ?? `sleep 0.3; cp ${result} "$output"`}
`,
    );
  }

  get goCalls(): string[] {
    return existsSync(this.goLog) ? readFileSync(this.goLog, "utf8").trim().split("\n") : [];
  }

  /** A release as an archive: `<folder>/<name>` and what else is given. */
  archive(files: Record<string, string>): Buffer {
    const root = mkdtempSync(join(this.folder, "archive-"));
    for (const [path, content] of Object.entries(files)) {
      this.put(path.split("/").pop() as string, content, join(root, ...path.split("/").slice(0, -1)));
    }
    return execFileSync("tar", ["-czf", "-", "-C", root, "."]);
  }
}

/** A download site on loopback. `behave` may answer in the site's place and returns true when it did. */
export class Site {
  readonly requests: { path: string; range: string | undefined }[] = [];
  behave: (request: IncomingMessage, response: ServerResponse, content: Buffer) => boolean = () => false;
  readonly #files = new Map<string, Buffer>();
  readonly #server: Server = createServer((request, response) => this.#answer(request, response));

  async open(): Promise<this> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  /** Publishes a file; its official address has another host, as the real ones have. */
  publish(path: string, content: Buffer | string, parts: Partial<Release> = {}): Release {
    const bytes = Buffer.from(content);
    this.#files.set(path, bytes);
    return { url: `https://releases.example${path}`, sha256: sha256(bytes), megabytes: 1, ...parts };
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? "";
    const range = request.headers.range;
    this.requests.push({ path, range });
    const content = this.#files.get(path);
    if (!content) {
      response.writeHead(404).end();
      return;
    }
    if (this.behave(request, response, content)) return;
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    if (range && from >= content.length) response.writeHead(416).end();
    else if (range) response.writeHead(206, { "content-length": content.length - from }).end(content.subarray(from));
    else response.writeHead(200, { "content-length": content.length }).end(content);
  }
}

/** Whether a process runs; one that is dead and not yet waited for does not. */
export function isRunning(processId: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${processId}/stat`, "utf8"));
  } catch {
    if (process.platform === "linux") return false;
  }
  try {
    process.kill(processId, 0);
    return true;
  } catch {
    return false;
  }
}

export async function until(condition: () => boolean, what: string, milliseconds = 60_000): Promise<void> {
  const end = Date.now() + milliseconds;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}
