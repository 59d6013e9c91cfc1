import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fullToken } from "../../../components/cluster/certificates";
import { askServer } from "../../../components/cluster/kubernetes-api";

const BOOT = join(__dirname, "../../../components/cluster/node");
const works = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0;
/** Both are on every server; on the machine of whoever runs the tests they may be missing. */
const AVAILABLE =
  works("python3", "-c", "import ssl, sys; sys.exit(sys.version_info < (3, 10))") && works("openssl", "version");
const describeBoot = AVAILABLE ? describe : describe.skip;

const python = (code: string): string => {
  const { stdout, stderr, status } = spawnSync(
    "python3",
    ["-c", `import sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n${code}`, BOOT],
    {
      encoding: "utf8",
    },
  );
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
};

type State = "serving" | "starting" | "fresh" | "foreign" | "away";

describeBoot("the boot script's rule", () => {
  const decide = (own: string, states: readonly (readonly [string, State])[]): string =>
    python(
      `import boot, json; print(json.dumps(boot.decide(${JSON.stringify(own)}, ${JSON.stringify(
        states.map(([name, state]) => [name, state, `${name} is ${state}`]),
      )})))`,
    );

  test.each<[string, string, [string, State][], string]>([
    [
      "the lowest of three fresh servers initialises",
      "a",
      [
        ["b", "fresh"],
        ["c", "fresh"],
      ],
      '["initialise", null]',
    ],
    [
      "another fresh server waits for the lowest",
      "b",
      [
        ["a", "fresh"],
        ["c", "fresh"],
      ],
      '["wait", "all servers are fresh, a initialises the cluster"]',
    ],
    [
      "a server joins a peer that serves",
      "a",
      [
        ["b", "away"],
        ["c", "serving"],
      ],
      '["join", "c"]',
    ],
    [
      "of two that serve it takes the lower",
      "c",
      [
        ["b", "serving"],
        ["a", "serving"],
      ],
      '["join", "a"]',
    ],
    [
      "the lowest never starts a second cluster while a peer is away",
      "a",
      [
        ["b", "fresh"],
        ["c", "away"],
      ],
      '["wait", "c: c is away"]',
    ],
    [
      "nor while both are away: it may have been rebuilt",
      "a",
      [
        ["b", "away"],
        ["c", "away"],
      ],
      '["wait", "b: b is away; c: c is away"]',
    ],
    [
      "nor beside a peer of another generation or another cluster",
      "a",
      [
        ["b", "foreign"],
        ["c", "fresh"],
      ],
      '["wait", "b: b is foreign"]',
    ],
    [
      "nor beside a peer whose K3s is still starting",
      "a",
      [
        ["b", "starting"],
        ["c", "fresh"],
      ],
      '["wait", "b: b is starting"]',
    ],
  ])("%s", (_name, own, states, decision) => {
    expect(decide(own, states)).toBe(decision);
  });
});

const ADDRESS = { a: "127.44.20.11", b: "127.44.20.12", c: "127.44.20.13" } as const;
type Name = keyof typeof ADDRESS;

describeBoot("three boot scripts that meet", () => {
  let folder: string;
  const running: { stop(): Promise<void> }[] = [];

  const openssl = (...args: string[]): void => {
    const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
  };
  const authority = (name: string): void =>
    openssl(
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
      ...["-subj", `/CN=${name}`, "-keyout", join(folder, `${name}.key`), "-out", join(folder, `${name}.crt`)],
    );
  const leaf = (name: string, by: string, subject: string, extension: string): void => {
    const [key, request, file] = ["key", "csr", "ext"].map((end) => join(folder, `${name}.${end}`)) as [
      string,
      string,
      string,
    ];
    openssl(
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-subj",
      subject,
      "-keyout",
      key,
      "-out",
      request,
    );
    writeFileSync(file, extension);
    openssl(
      ...["x509", "-req", "-in", request, "-CA", join(folder, `${by}.crt`), "-CAkey", join(folder, `${by}.key`)],
      ...["-CAcreateserial", "-days", "2", "-extfile", file, "-out", join(folder, `${name}.crt`)],
    );
  };
  const pem = (name: string): string => readFileSync(join(folder, name), "utf8");

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "trivet-boot-"));
    for (const name of ["server-ca", "client-ca", "other-ca"]) authority(name);
    leaf("admin", "client-ca", "/O=system:masters/CN=administrator", "extendedKeyUsage=clientAuth\n");
    leaf("stranger", "other-ca", "/O=system:masters/CN=stranger", "extendedKeyUsage=clientAuth\n");
    leaf("k3s", "server-ca", "/CN=k3s", `subjectAltName=IP:${ADDRESS.a}\n`);
  });

  afterEach(async () => {
    for (const one of running.splice(0)) await one.stop();
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Everything `meet` reads, below a folder of its own. */
  const server = (
    name: Name,
    { generation = 1, password = "right" }: { generation?: number; password?: string } = {},
  ): { output: () => string; decision: Promise<string>; process: ChildProcess } => {
    const root = mkdtempSync(join(folder, `${name}-`));
    const put = (path: string, text: string): void => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    };
    for (const file of ["server-ca.crt", "server-ca.key", "client-ca.crt"]) {
      put(`/var/lib/rancher/k3s/server/tls/${file}`, pem(file));
    }
    put(
      "/etc/rancher/k3s/config.yaml",
      `token: ${fullToken(pem("server-ca.crt"), password)}\nagent-token: agent-${password}\n`,
    );
    const node = {
      cluster: "honeydue",
      node: name,
      generation,
      address: ADDRESS[name],
      peers: Object.entries(ADDRESS).map(([peer, address]) => ({ name: peer, address })),
    };
    const code = `
import json, sys
sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True
import boot
boot.ASK_AGAIN_SECONDS = 0.2
print("DECISION", json.dumps(boot.meet(json.loads(sys.argv[2]))), flush=True)
`;
    const child = spawn("python3", ["-c", code, BOOT, JSON.stringify(node)], {
      env: { ...process.env, TRIVET_ROOT: root, TRIVET_BIND_ADDRESS: ADDRESS[name] },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (part: string) => (text += part));
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    running.push({
      stop: async () => {
        child.kill("SIGKILL");
        await closed;
      },
    });
    return {
      process: child,
      output: () => text,
      decision: closed.then(() => /^DECISION (.*)$/m.exec(text)?.[1] ?? `none: ${text}`),
    };
  };

  /** What K3s of server `a` answers once it takes members. */
  const k3s = async (ready: () => boolean): Promise<void> => {
    const api: Server = createServer({ key: pem("k3s.key"), cert: pem("k3s.crt") }, (request, response) => {
      const agent = `Basic ${Buffer.from("node:agent-right").toString("base64")}`;
      const known = request.url === "/v1-k3s/readyz" && request.headers.authorization === agent;
      response.statusCode = known ? (ready() ? 200 : 500) : 401;
      response.end();
    });
    await new Promise<void>((resolve) => api.listen(6443, ADDRESS.a, resolve));
    running.push({
      stop: () =>
        new Promise((resolve) => {
          api.closeAllConnections();
          api.close(() => resolve());
        }),
    });
  };

  const until = async (what: () => boolean | Promise<boolean>): Promise<void> => {
    const deadline = Date.now() + 10_000;
    while (!(await what())) {
      if (Date.now() > deadline) throw new Error("it did not happen within 10 s");
      await delay(50);
    }
  };

  test("the lowest initialises; the others wait until it is ready and then join it", async () => {
    const [a, b, c] = [server("a"), server("b"), server("c")];
    expect(await a.decision).toBe('["initialise", null]');
    let ready = false;
    await k3s(() => ready);
    await until(() => b.output().includes("its K3s is not ready (500)"));
    ready = true;
    expect(await b.decision).toBe(`["join", "${ADDRESS.a}"]`);
    expect(await c.decision).toBe(`["join", "${ADDRESS.a}"]`);
  }, 30_000);

  test("a peer of another generation is named as the reason to wait", async () => {
    const b = server("b", { generation: 2 });
    const a = server("a");
    await until(() => a.output().includes("b: it is of generation 2, this server of 1; c: it does not answer"));
    expect(b.output()).not.toContain("DECISION");
    expect(a.output()).not.toContain("DECISION");
  }, 30_000);

  test("a peer with another token gets no answer, and does not count as fresh", async () => {
    server("b", { password: "wrong" });
    server("c");
    const a = server("a");
    await until(() => /b: its K3s is not ready \(401\)/.test(a.output()));
    expect(a.output()).not.toContain("DECISION");
  }, 30_000);

  test("the operator is told what a server waits for, a stranger is not", async () => {
    server("a");
    const ask = (who: string): ReturnType<typeof askServer> =>
      askServer(
        ADDRESS.a,
        { authorityPem: pem("server-ca.crt"), certificatePem: pem(`${who}.crt`), privateKeyPem: pem(`${who}.key`) },
        2,
      );
    await until(async () => {
      const answer = await ask("admin");
      return !answer.ready && /^rendezvous: b: it does not answer \(.*\); c: .*, \d+ s$/.test(answer.reason);
    });
    const refused = await ask("stranger");
    expect(refused).toMatchObject({ ready: false });
    expect(JSON.stringify(refused)).not.toContain("rendezvous");
  }, 30_000);
});
