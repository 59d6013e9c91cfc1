import { Transform } from "node:stream";
import { extensionOf } from "./expression";
import { cacheSettings, type CacheSettings } from "./rules";
import type { Answer, Visit } from "./visit";

/** Files that are kept without any rule, by their extension (developers.cloudflare.com/cache, "Default cache behavior", 2026). */
const STATIC_EXTENSIONS = new Set(
  (
    "7z apk avi avif bin bmp bz2 class css csv dmg doc docx ejs eot eps exe flac gif gz ico iso jar jpeg jpg js mid midi mkv mp3 mp4 ogg otf " +
    "pdf pict pls png ppt pptx ps rar svg svgz swf tar tif tiff ttf webm webp woff woff2 xls xlsx zip zst"
  ).split(" "),
);

/** Seconds for which an answer is kept that says nothing itself, by its status (same page). */
const USUAL_SECONDS: Readonly<Record<number, number>> = { 200: 7200, 206: 7200, 301: 7200, 302: 1200, 303: 1200, 404: 180, 410: 180 }; // prettier-ignore
const BROWSER_SECONDS = 14_400;

/** Cloudflare keeps up to 512 MB a file; a rehearsal needs no more memory than this. */
const LARGEST_BYTES = 4 * 1024 * 1024;
const MOST_ENTRIES = 1000;

interface Kept {
  readonly status: number;
  readonly headers: Answer["headers"];
  readonly body: Buffer;
  readonly at: number;
  readonly seconds: number;
}

/** What the edge keeps of origins' answers. One copy a host, path, query and accepted encodings. */
export class Cache {
  readonly #now: () => Date;
  readonly #kept = new Map<string, Kept>();

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** Answers from what is kept, else by `ask`, whose answer may then be kept. */
  async serve(visit: Visit, ask: () => Promise<Answer>): Promise<Answer> {
    const settings = cacheSettings(visit);
    if (!isEligible(visit, settings)) return marked(await ask(), "DYNAMIC");
    const key = [visit.scheme, visit.host, visit.path, visit.headers["accept-encoding"] ?? ""].join(" ");
    const at = this.#now().getTime() / 1000;
    const kept = this.#kept.get(key);
    if (kept !== undefined && at < kept.at + kept.seconds) {
      return {
        status: kept.status,
        headers: { ...kept.headers, age: String(Math.floor(at - kept.at)), "cf-cache-status": "HIT" },
        body: visit.method === "HEAD" ? "" : bodyOf(kept.body),
      };
    }
    const answer = await ask();
    if (visit.method === "HEAD") return marked(answer, "MISS");
    const seconds = secondsToKeep(answer, settings);
    if (seconds === 0) return marked(answer, "BYPASS");
    const headers = { ...answer.headers, ...forBrowsers(visit, answer, settings) };
    const body = typeof answer.body === "string" ? bodyOf(Buffer.from(answer.body)) : answer.body;
    const collected = body.pipe(
      collector((whole) => {
        this.#kept.delete(key);
        this.#kept.set(key, { status: answer.status, headers, body: whole, at, seconds });
        if (this.#kept.size > MOST_ENTRIES) this.#kept.delete(this.#kept.keys().next().value ?? "");
      }),
    );
    body.once("error", (error) => collected.destroy(error));
    collected.once("close", () => body.destroy());
    return {
      status: answer.status,
      headers: { ...headers, "cf-cache-status": kept ? "EXPIRED" : "MISS" },
      body: collected,
    };
  }
}

const marked = (answer: Answer, status: string): Answer => ({
  ...answer,
  headers: { ...answer.headers, "cf-cache-status": status },
});

const bodyOf = (whole: Buffer): Transform => {
  const stream = new Transform({ transform: (part, _encoding, done) => done(null, part) });
  stream.end(whole);
  return stream;
};

/** Passes everything on, and gives the whole at the end, if it is not too large. */
function collector(whole: (body: Buffer) => void): Transform {
  let parts: Buffer[] | undefined = [];
  let bytes = 0;
  return new Transform({
    transform(part: Buffer, _encoding, done) {
      bytes += part.length;
      if (bytes > LARGEST_BYTES) parts = undefined;
      parts?.push(part);
      done(null, part);
    },
    flush(done) {
      if (parts !== undefined) whole(Buffer.concat(parts));
      done();
    },
  });
}

function isEligible({ method, path, headers, zone }: Visit, { cache }: CacheSettings): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  if (headers.range !== undefined || headers.authorization !== undefined) return false;
  if (zone.settings["development_mode"]?.value === "on") return false;
  return cache ?? STATIC_EXTENSIONS.has(extensionOf(path));
}

/** 0: not at all. */
function secondsToKeep({ status, headers }: Answer, { edge_ttl: ttl }: CacheSettings): number {
  const usual = USUAL_SECONDS[status];
  if (usual === undefined) return 0;
  if (ttl?.mode === "override_origin") return ttl.default ?? usual;
  if (headers["set-cookie"] !== undefined) return 0;
  const said = directives(headers["cache-control"]);
  if (said.has("no-store") || said.has("private") || said.has("no-cache")) return 0;
  const age = said.get("s-maxage") ?? said.get("max-age");
  if (age !== undefined) return Number(age) || 0;
  return ttl?.mode === "bypass_by_default" ? 0 : usual;
}

/** "Browser cache TTL" raises what an origin says, and never lowers it; 0 leaves it alone. */
function forBrowsers({ zone }: Visit, { headers }: Answer, { browser_ttl: ttl }: CacheSettings): Answer["headers"] {
  if (ttl?.mode === "override_origin" && ttl.default !== undefined)
    return { "cache-control": `max-age=${ttl.default}` };
  if (ttl?.mode === "bypass") return { "cache-control": "no-store" };
  const wanted = Number(zone.settings["browser_cache_ttl"]?.value ?? BROWSER_SECONDS);
  const said = Number(directives(headers["cache-control"]).get("max-age") ?? -1);
  return wanted === 0 || said >= wanted || ttl?.mode === "respect_origin"
    ? {}
    : { "cache-control": `max-age=${wanted}` };
}

const directives = (header: unknown): Map<string, string> =>
  new Map(
    String(header ?? "")
      .split(",")
      .map((one) => one.trim().toLowerCase().split("=", 2))
      .map(([name = "", value = ""]) => [name, value.replaceAll('"', "")]),
  );
