import { type ChildProcess, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ensureTools, REHEARSAL_TOOLS, ToolchainError } from "../../../rehearsal/toolchain";
import { currentPlatform } from "../../../rehearsal/toolchain/catalog";
import { DemoMachine, isRunning, program, Site, sha256, until, VERSION } from "./demo";

let machine: DemoMachine;
let site: Site;
const children: ChildProcess[] = [];

beforeEach(async () => {
  machine = new DemoMachine();
  site = await new Site().open();
});

afterEach(async () => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
  await site.close();
  machine.remove();
});

const failure = async (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: Error) => error,
  );

const folderOf = (name: string): string => join(machine.cache, name, `${VERSION}-${currentPlatform()}`);

/** What a finished or failed set-up may leave besides the tools. */
const leftovers = (): string[] =>
  ["work", "locks"].flatMap((folder) =>
    existsSync(join(machine.cache, folder)) ? readdirSync(join(machine.cache, folder)) : [],
  );

describe("the cache", () => {
  test("is asked first: no Go, no site and no PATH is needed once a tool is in it", async () => {
    machine.putGo();
    machine.tool("alpha");
    const first = await ensureTools(["alpha"], machine.options);
    expect(first["alpha"]).toEqual({
      name: "alpha",
      version: VERSION,
      path: join(folderOf("alpha"), "alpha"),
      origin: "built",
    });

    const second = await ensureTools(["alpha"], { ...machine.options, environment: { PATH: "/nonexistent" } });
    expect(second["alpha"]).toEqual({ ...first["alpha"], origin: "cache" });
    expect(machine.goCalls).toHaveLength(1);
  });

  test.each([
    ["is shorter than it was", (file: string) => truncateSync(file, 10)],
    [
      "has another content of the same size and time",
      (file: string) => {
        const { atime, mtime } = statSync(file);
        writeFileSync(file, readFileSync(file, "utf8").replace("built", "bulit"));
        utimesSync(file, atime, mtime);
      },
    ],
    ["has lost its manifest", (file: string) => truncateSync(join(file, "..", "manifest.json"), 5)],
  ])("makes a tool again that %s", async (_, harm) => {
    machine.putGo();
    machine.tool("alpha");
    const { alpha } = await ensureTools(["alpha"], machine.options);
    const before = readFileSync(alpha.path, "utf8");
    harm(alpha.path);

    expect((await ensureTools(["alpha"], machine.options)).alpha.origin).toBe("built");
    expect(readFileSync(alpha.path, "utf8")).toBe(before);
    expect(machine.goCalls).toHaveLength(2);
  });

  test("accepts a file whose times changed and whose content did not, and hashes it only once", async () => {
    machine.putGo();
    machine.tool("alpha");
    const { alpha } = await ensureTools(["alpha"], machine.options);
    utimesSync(alpha.path, 1, 1);
    expect((await ensureTools(["alpha"], machine.options)).alpha.origin).toBe("cache");
    const manifest = JSON.parse(readFileSync(join(folderOf("alpha"), "manifest.json"), "utf8"));
    expect(manifest.seen.modified).toBe(1000);
  });

  test("makes a tool again when its recipe or the sources of its module changed", async () => {
    machine.putGo();
    machine.tool("alpha");
    await ensureTools(["alpha"], machine.options);
    writeFileSync(join(machine.modules, "demo", "go.sum"), "another checksum\n");
    expect((await ensureTools(["alpha"], machine.options)).alpha.origin).toBe("built");
    expect((await ensureTools(["alpha"], machine.options)).alpha.origin).toBe("cache");
  });

  test("answers for all tools of a rehearsal in less time than it takes to read them, without any other way", async () => {
    const seconds = async (work: () => Promise<void> | void): Promise<number> => {
      const began = performance.now();
      await work();
      return (performance.now() - began) / 1000;
    };
    const asking: number[] = [];
    const reading: number[] = [];
    // The fastest of three: the machine may be busy with other tests, and they can only make it slower.
    for (let round = 0; round < 3; round++) {
      let paths: string[] = [];
      asking.push(
        await seconds(async () => {
          const tools = Object.values(await ensureTools(REHEARSAL_TOOLS, { ways: ["cache"] }));
          expect(tools.map(({ origin }) => origin)).toEqual(REHEARSAL_TOOLS.map(() => "cache"));
          paths = tools.map(({ path }) => path);
        }),
      );
      reading.push(await seconds(() => paths.forEach((path) => sha256(readFileSync(path)))));
    }
    expect(Math.min(...asking)).toBeLessThan(Math.min(...reading) / 2);
  });
});

describe("PATH", () => {
  test("gives a tool that says it has a fitting version", async () => {
    const path = machine.put("alpha", program("1.2.9"));
    machine.tool("alpha");
    const { alpha } = await ensureTools(["alpha"], machine.options);
    expect(alpha).toEqual({ name: "alpha", version: "1.2.9", path, origin: "path" });
    expect(existsSync(folderOf("alpha"))).toBe(false);
  });

  test("is passed over where the version does not fit, for the next one on it that does", async () => {
    const far = join(machine.folder, "far");
    machine.put("alpha", program("1.3.0"));
    const good = machine.put("alpha", program("1.2.0"), far);
    machine.tool("alpha");
    const environment = { PATH: `${machine.bin}:${far}:/usr/bin:/bin` };
    const { alpha } = await ensureTools(["alpha"], { ...machine.options, environment });
    expect(alpha).toMatchObject({ path: good, version: "1.2.0" });
  });

  test.each([
    ["is too old", program("1.1.99"), "is 1.1.99; what fits is 1.2.0 or newer, below 1.3.0"],
    ["fails when it is asked", "#!/bin/sh\nexit 3\n", '"alpha --version" failed (3)'],
    ["says no version", "#!/bin/sh\necho hello\n", "does not say its version"],
  ])("says why a tool was passed over that %s", async (_, content, reason) => {
    const path = machine.put("alpha", content);
    machine.tool("alpha");
    const error = await failure(ensureTools(["alpha"], machine.options));
    expect(error).toBeInstanceOf(ToolchainError);
    expect(error.message).toContain(path);
    expect(error.message).toContain(reason);
  });
});

describe("the official download", () => {
  test("is taken when its sha256 is the pinned one", async () => {
    const release = site.publish("/v1.2.3/alpha", program(VERSION));
    machine.tool("alpha", { release });
    const { alpha } = await ensureTools(["alpha"], { ...machine.options, downloadBase: site.url });
    expect(alpha).toEqual({
      name: "alpha",
      version: VERSION,
      path: join(folderOf("alpha"), "alpha"),
      origin: "download",
    });
    expect(sha256(readFileSync(alpha.path))).toBe(release.sha256);
    expect(readdirSync(join(machine.cache, "downloads"))).toEqual([]);
    expect(leftovers()).toEqual([]);
    expect((await ensureTools(["alpha"], machine.options)).alpha.origin).toBe("cache");
  });

  test("is unpacked, with the files that belong beside the binary", async () => {
    const content = machine.archive({
      "alpha/alpha": program(VERSION),
      "alpha/alpha-host": "host",
      "alpha/other": "no",
    });
    const release = site.publish("/alpha.tar.gz", content, {
      member: "alpha/alpha",
      companions: ["alpha/alpha-host", "alpha/not-in-every-release"],
    });
    machine.tool("alpha", { release });
    await ensureTools(["alpha"], { ...machine.options, downloadBase: `${site.url}/` });
    expect(readdirSync(folderOf("alpha")).sort()).toEqual(["alpha", "alpha-host", "manifest.json"]);
    expect(readdirSync(join(machine.cache, "downloads"))).toEqual([]);
  });

  test("is refused, removed and never run when its sha256 is another one", async () => {
    const ran = join(machine.folder, "ran");
    const release = site.publish("/alpha", `#!/bin/sh\ntouch ${ran}\n${program(VERSION)}`, { sha256: sha256("other") });
    machine.tool("alpha", { release });
    const error = await failure(ensureTools(["alpha"], { ...machine.options, downloadBase: site.url }));
    expect(error.message).toContain(`pinned is ${sha256("other")}. The file was removed.`);
    expect(existsSync(ran)).toBe(false);
    expect(existsSync(folderOf("alpha"))).toBe(false);
    expect(
      readdirSync(machine.cache, { recursive: true, encoding: "utf8" }).filter((path) => /part$|alpha$/.test(path)),
    ).toEqual([expect.stringMatching(/^downloads\/[^/]+-alpha$/)]);
  });

  test("gives way to the Go module when it is refused", async () => {
    machine.putGo();
    const release = site.publish("/alpha", "something else", { sha256: sha256("other") });
    machine.tool("alpha", { release });
    const { alpha } = await ensureTools(["alpha"], { ...machine.options, downloadBase: site.url });
    expect(alpha.origin).toBe("built");
  });

  test("goes on where the connection broke, in the same run", async () => {
    const content = program(VERSION, "x".repeat(200_000));
    const release = site.publish("/alpha", content);
    site.behave = (request, response, bytes) => {
      if (request.headers.range) return false;
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 100));
      return true;
    };
    machine.tool("alpha", { release });
    const { alpha } = await ensureTools(["alpha"], { ...machine.options, downloadBase: site.url });
    expect(alpha.origin).toBe("download");
    expect(site.requests).toEqual([
      { path: "/alpha", range: undefined },
      { path: "/alpha", range: "bytes=100000-" },
    ]);
  });

  test("goes on where an aborted run stopped", async () => {
    const release = site.publish("/alpha", program(VERSION, "x".repeat(200_000)));
    machine.tool("alpha", { release });
    site.behave = (request, response, bytes) => {
      if (request.headers.range) return false;
      response.writeHead(200, { "content-length": bytes.length }).write(bytes.subarray(0, 100_000)); // and then nothing
      return true;
    };
    const abort = new AbortController();
    const options = { ...machine.options, downloadBase: site.url };
    const run = failure(ensureTools(["alpha"], { ...options, signal: abort.signal }));
    const parts = (): string[] =>
      existsSync(join(machine.cache, "downloads"))
        ? readdirSync(join(machine.cache, "downloads"), { recursive: true }).map(String)
        : [];
    await until(() => {
      const part = parts().find((path) => path.endsWith(".part"));
      return part !== undefined && statSync(join(machine.cache, "downloads", part)).size === 100_000;
    }, "half of the file received");
    abort.abort(new Error("enough"));
    expect((await run).message).toBe("enough");
    expect(leftovers()).toEqual([]);

    expect((await ensureTools(["alpha"], options)).alpha.origin).toBe("download");
    expect(site.requests.at(-1)?.range).toBe("bytes=100000-");
  });

  test("starts over when what an earlier run left does not lead to the pinned content", async () => {
    const content = program(VERSION, "y".repeat(1000));
    const release = site.publish("/alpha", content);
    machine.tool("alpha", { release });
    const options = { ...machine.options, downloadBase: site.url };
    site.behave = (_, response) => {
      response.destroy();
      return true;
    };
    await failure(ensureTools(["alpha"], options)); // makes the folder
    const [folder] = readdirSync(join(machine.cache, "downloads"));
    const part = join(machine.cache, "downloads", folder as string, `alpha.${release.sha256.slice(0, 16)}.part`);
    writeFileSync(part, "rubbish of an earlier time");
    site.behave = () => false;
    expect((await ensureTools(["alpha"], options)).alpha.origin).toBe("download");
  });

  test("is refused when the program in it does not say the pinned version", async () => {
    machine.tool("alpha", { release: site.publish("/alpha", program("1.2.4")) });
    const error = await failure(ensureTools(["alpha"], { ...machine.options, downloadBase: site.url }));
    expect(error.message).toContain("is version 1.2.4 instead of 1.2.3");
    expect(existsSync(folderOf("alpha"))).toBe(false);
  });

  test("says what the site answered", async () => {
    const release = { ...site.publish("/alpha", "x"), url: "https://releases.example/gone" };
    machine.tool("alpha", { release });
    const error = await failure(ensureTools(["alpha"], { ...machine.options, downloadBase: site.url }));
    expect(error.message).toContain(`${site.url}/gone answered 404 Not Found`);
  });

  test("is not asked for again at a host that did not answer", async () => {
    const release = site.publish("/alpha", "x");
    for (const name of ["alpha", "beta"]) machine.tool(name, { release });
    const error = await failure(ensureTools(["alpha", "beta"], machine.options));
    expect(error.message).toMatch(/http:\/\/127\.0\.0\.1:65535\/alpha: .*ECONNREFUSED/);
    expect(error.message).toContain("http://127.0.0.1:65535/alpha: 127.0.0.1:65535 did not answer before");
  });
});

describe("the Go module", () => {
  test("is built without writing to the repository or looking at the machine's own workspace", async () => {
    machine.putGo();
    machine.tool("alpha");
    const { alpha } = await ensureTools(["alpha"], machine.options);
    expect(alpha.origin).toBe("built");
    expect(machine.goCalls).toEqual([
      expect.stringMatching(
        /^\d+ \S+\/modules\/demo CGO_ENABLED=0 GOWORK=off build -v -mod=readonly -buildvcs=false -trimpath -pgo=off -p 2 -tags some,tags -ldflags -s -w -o \S+\/alpha demo\.example\/cmd\/alpha$/,
      ),
    ]);
    expect(leftovers()).toEqual([]);
  });

  test("gives every tool that is the same binary under another name, in the room of one", async () => {
    machine.putGo();
    const go = machine.recipe(".");
    for (const name of ["server", "scheduler", "manager"]) machine.tool(name, { go });
    const tools = await ensureTools(["server", "scheduler", "manager"], machine.options);
    expect(Object.values(tools).map(({ name, origin }) => [name, origin])).toEqual([
      ["server", "built"],
      ["scheduler", "cache"],
      ["manager", "cache"],
    ]);
    expect(machine.goCalls).toHaveLength(1);
    expect(new Set(Object.values(tools).map(({ path }) => statSync(path).ino)).size).toBe(1);
  });

  test("tells how far it is", async () => {
    machine.putGo();
    machine.tool("alpha");
    machine.tool("beta");
    await ensureTools(["alpha", "beta"], machine.options);
    expect([...new Set(machine.progress.map(({ tool, phase }) => `${tool} ${phase}`))]).toEqual([
      "alpha checking",
      "beta checking",
      "alpha building",
      "alpha ready",
      "beta building",
      "beta ready",
    ]);
    const building = machine.progress.filter(({ tool, phase }) => tool === "alpha" && phase === "building");
    expect(building.map(({ detail }) => detail)).toContain("fetching sources, 1 modules (demo.example/dependency)");
    // 60 s each on the two cores that the estimate was made for.
    expect(building[0]).toMatchObject({ estimateSeconds: 60 });
    expect(Math.round(building[0]?.remainingSeconds ?? 0)).toBe(120);
    expect(machine.progress.at(-1)).toMatchObject({ phase: "ready", remainingSeconds: 0 });
  });

  test.each([
    ["echo 'main.go:3: undefined: x' >&2; exit 1", "failed with exit code 1", "main.go:3: undefined: x"],
    ["echo 'go: go.mod requires go >= 1.26 (running go 1.20)' >&2; exit 1", "This Go is too old", "https://go.dev/dl/"],
    ["echo 'dial tcp: lookup proxy.example: no such host' >&2; exit 1", "module proxy cannot be reached", "GOPROXY"],
    ["echo 'write /x: no space left on device' >&2; exit 1", "The disk is full", "10 GB"],
    ["kill -9 $$", "was ended by SIGKILL", "go build"],
    ["printf '#!/bin/sh\\necho v9.9.9\\n' > \"$output\"", "is version 9.9.9 instead of 1.2.3", "what Go built"],
  ])("says why it could not be built: %s", async (body, reason, more) => {
    machine.putGo(body);
    machine.tool("alpha");
    const error = await failure(ensureTools(["alpha"], machine.options));
    expect(error).toBeInstanceOf(ToolchainError);
    expect(error.message).toContain(reason);
    expect(error.message).toContain(more);
    expect(existsSync(folderOf("alpha"))).toBe(false);
    expect(leftovers()).toEqual([]);
  });

  test("ends with everything it started when the set-up is aborted", async () => {
    const compiler = join(machine.folder, "compiler.pid");
    // A compiler that ignores polite requests, as a child of Go.
    machine.putGo(`sh -c 'trap "" TERM; echo $$ > ${compiler}; while :; do sleep 1; done'; exit 1`);
    machine.tool("alpha");
    const abort = new AbortController();
    const run = failure(ensureTools(["alpha"], { ...machine.options, signal: abort.signal }));
    await until(() => existsSync(compiler) && readFileSync(compiler, "utf8") !== "", "the compiler runs");
    const [go, child] = [Number(machine.goCalls[0]?.split(" ")[0]), Number(readFileSync(compiler, "utf8"))];
    expect([isRunning(go), isRunning(child)]).toEqual([true, true]);
    abort.abort(new Error("enough"));
    expect((await run).message).toBe("enough");
    await until(() => !isRunning(go) && !isRunning(child), "Go and the compiler ended");
    expect(leftovers()).toEqual([]);
  });
});

describe("when no way works", () => {
  test("one error names each tool, each way that was tried, and what to do", async () => {
    machine.put("alpha", program("0.9.0"));
    machine.tool("alpha", { release: site.publish("/alpha", "x") });
    machine.tool("beta");
    const error = await failure(ensureTools(["alpha", "beta"], machine.options));
    expect(error).toBeInstanceOf(ToolchainError);
    const text = error.message.replaceAll(machine.folder, "FOLDER").replaceAll(currentPlatform(), "PLATFORM");
    expect(text.replace(/: fetch failed.*/, ": REASON")).toBe(`2 tools are missing, and no way to them worked:

alpha 1.2.3 (PLATFORM), shows how it works
  cache     FOLDER/cache/trivet/alpha/1.2.3-PLATFORM: not there
  path      FOLDER/bin/alpha is 0.9.0; what fits is 1.2.0 or newer, below 1.3.0
  download  http://127.0.0.1:65535/alpha: REASON
  build     there is no go on PATH

beta 1.2.3 (PLATFORM), shows how it works
  cache     FOLDER/cache/trivet/beta/1.2.3-PLATFORM: not there
  path      no beta on it
  download  no checksum of a release for PLATFORM is pinned: skipped
  build     there is no go on PATH

Do one of these, then run the same command again; what is finished is kept:
  build     install Go 1.26 or newer (https://go.dev/dl/) and have its module proxy in reach (GOPROXY)
  download  have the sites above in reach (HTTPS_PROXY is heeded), or set TRIVET_DOWNLOAD_BASE to a mirror
  path      put alpha on PATH, version 1.2.0 or newer, below 1.3.0
  path      put beta on PATH, version 1.2.0 or newer, below 1.3.0
  cache     copy FOLDER/cache/trivet/ from a machine of the same kind where it is complete`);
  });

  test("the tools that could be had are kept", async () => {
    machine.putGo(
      'case "$output" in */alpha) exit 1;; esac; cp FOLDER/built "$output"'.replace("FOLDER", machine.folder),
    );
    machine.tool("alpha");
    machine.tool("beta");
    await failure(ensureTools(["alpha", "beta"], machine.options));
    expect((await ensureTools(["beta"], machine.options)).beta.origin).toBe("cache");
  });

  test("a name that is not in the catalog is refused with those that are", async () => {
    machine.tool("alpha");
    const error = await failure(ensureTools(["alhpa"], machine.options));
    expect(error.message).toBe('No tool is called "alhpa". Known are: alpha.');
  });
});

describe("several set-ups at once", () => {
  const start = (): ChildProcess & { output: () => string } => {
    const script = join(machine.folder, "set-up.ts");
    const toolchain = join(__dirname, "..", "..", "..", "rehearsal", "toolchain");
    const { onProgress: _, ...options } = machine.options;
    writeFileSync(
      script,
      `import { ensureTools } from ${JSON.stringify(toolchain)};
       ensureTools(["alpha"], ${JSON.stringify({ ...options, catalog: machine.catalog })}).then(
         ({ alpha }) => console.log(alpha.origin), (error) => { console.log(error.message); process.exitCode = 1; });`,
    );
    const child = spawn(process.execPath, ["--import", require.resolve("tsx"), script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => (text += chunk.toString()));
    children.push(child);
    return Object.assign(child, { output: () => text.trim() });
  };
  const ended = (child: ChildProcess): Promise<void> => new Promise((done) => child.once("close", () => done()));

  test("build a tool once, and all get it", async () => {
    machine.putGo(`sleep 2; cp ${machine.folder}/built "$output"`);
    machine.tool("alpha");
    const setUps = [start(), start(), start()];
    await Promise.all(setUps.map(ended));
    expect(setUps.map((child) => child.output()).sort()).toEqual(["built", "cache", "cache"]);
    expect(machine.goCalls).toHaveLength(1);
    expect(leftovers()).toEqual([]);
  });

  test("do not wait for one that was killed, and remove what it left", async () => {
    machine.putGo(`touch "$output.partial"; sleep 60; exit 1`);
    machine.tool("alpha");
    const killed = start();
    await until(() => machine.goCalls.length === 1, "the first set-up builds");
    const go = Number(machine.goCalls[0]?.split(" ")[0]);
    killed.kill("SIGKILL");
    await ended(killed);
    expect(leftovers().length).toBeGreaterThan(0);
    process.kill(-go, "SIGKILL"); // nobody can end the children of who is killed outright

    machine.putGo();
    const next = start();
    await ended(next);
    expect(next.output()).toBe("built");
    expect(leftovers()).toEqual([]);
  });

  test("leave alone what a living one of them works on", async () => {
    mkdirSync(join(machine.cache, "work", `install.${process.pid}.0123abcd`), { recursive: true });
    machine.putGo();
    machine.tool("alpha");
    await ensureTools(["alpha"], machine.options);
    expect(leftovers()).toEqual([`install.${process.pid}.0123abcd`]);
  });
});
