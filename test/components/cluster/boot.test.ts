import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createMirror } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fullToken } from "../../../components/cluster/certificates";
import { doorAt } from "../../../components/cluster/api-doors";
import { AGENT_STATUS_NAME, askServer } from "../../../components/cluster/kubernetes-api";
import { KubernetesApi } from "../../../operations/kubernetes";

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

type Case = readonly [
  name: string,
  own: string,
  states: Readonly<Record<string, State>>,
  decision: readonly [string, string | null],
];

const RULE: readonly Case[] = [
  ["the lowest of three fresh servers initialises", "a", { b: "fresh", c: "fresh" }, ["initialise", null]],
  [
    "another fresh server waits for the lowest",
    "b",
    { a: "fresh", c: "fresh" },
    ["wait", "all servers are fresh, a initialises the cluster"],
  ],
  ["a server joins a peer that serves", "a", { b: "away", c: "serving" }, ["join", "c"]],
  ["of two that serve it takes the lower", "c", { b: "serving", a: "serving" }, ["join", "a"]],
  [
    "the lowest never starts a second cluster while a peer is away",
    "a",
    { b: "fresh", c: "away" },
    ["wait", "c: away"],
  ],
  ["nor while both are away: it may have been rebuilt", "a", { b: "away", c: "away" }, ["wait", "b: away; c: away"]],
  [
    "nor beside a peer of another generation or another cluster",
    "a",
    { b: "foreign", c: "fresh" },
    ["wait", "b: foreign"],
  ],
  ["nor beside a peer whose K3s is still starting", "a", { b: "starting", c: "fresh" }, ["wait", "b: starting"]],
  ["a server without peers initialises", "a", {}, ["initialise", null]],
];
const AGENTS_RULE: readonly Case[] = [
  ["it goes through any server that serves", "x", { a: "away", b: "starting", c: "serving" }, ["join", "c"]],
  [
    "it waits while none does, whatever they are",
    "x",
    { a: "fresh", b: "away", c: "fresh" },
    ["wait", "no server serves: a: fresh; b: away; c: fresh"],
  ],
];

/** All in one process: starting one takes longer than deciding. */
const decisions = (rule: "decide" | "decide_agent", cases: readonly Case[]): unknown[] => {
  const asked = cases.map(([, own, states]) => [
    own,
    Object.entries(states).map(([name, state]) => [name, state, state]),
  ]);
  const call = rule === "decide" ? "boot.decide(own, states)" : "boot.decide_agent(states)";
  return JSON.parse(
    python(
      `import boot, json; print(json.dumps([${call} for own, states in json.loads(${JSON.stringify(JSON.stringify(asked))})]))`,
    ),
  ) as unknown[];
};

describeBoot("the boot script's rule", () => {
  let decided: unknown[];
  beforeAll(() => {
    decided = [...decisions("decide", RULE), ...decisions("decide_agent", AGENTS_RULE)];
  });

  test.each([...RULE, ...AGENTS_RULE].map(([name, , , decision], index) => [name, index, decision] as const))(
    "%s",
    (_name, index, decision) => {
      expect(decided[index]).toEqual(decision);
    },
  );
});

const ADDRESS = { a: "127.52.20.11", b: "127.52.20.12", c: "127.52.20.13", "general-1": "127.52.20.20" } as const;
type Name = keyof typeof ADDRESS;
const SERVERS = ["a", "b", "c"] as const;
const MIRROR_ADDRESS = "127.52.20.1";

/** Stands in for K3s during a restore: it notes how it was called and what it found, and does as it is told. */
const FAKE_K3S = `#!/bin/sh
root=$(dirname "$0")/../../..
echo "$@" >> "$root/called"
cp "$root/etc/rancher/k3s/config.yaml.d/30-restore.yaml" "$root/options-seen"
mkdir -p "$root/var/lib/rancher/k3s/server/db/etcd/member"
if [ -e "$root/../bucket-away" ]; then
  echo 'level=info msg="Starting k3s"'
  echo 'level=fatal msg="bucket honeydue-snapshots does not exist"'
  exit 1
fi
echo 'level=info msg="Managed etcd cluster membership has been reset, restart without --cluster-reset flag now."'
`;

interface Options {
  generation?: number;
  password?: string;
  restore?: string;
  /** @default all three */
  servers?: readonly Name[];
  /** Seconds by which its clock differs. */
  clock?: number;
  /** Files on its disk before the boot. */
  disk?: Record<string, string>;
}

interface Booting {
  readonly root: string;
  output(): string;
  /** What K3s is told about the cluster when the boot script has ended. */
  readonly clusterFile: Promise<string>;
}

describeBoot("boot scripts that run", () => {
  let folder: string;
  const running: { stop(): Promise<void> }[] = [];

  const openssl = (...args: string[]): void => {
    const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
  };
  const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const authority = (name: string): void =>
    openssl(
      ...["req", "-x509", ...NEW_KEY, "-days", "2"],
      ...["-subj", `/CN=${name}`, "-keyout", join(folder, `${name}.key`), "-out", join(folder, `${name}.crt`)],
    );
  const leaf = (name: string, by: string, subject: string, extension: string): void => {
    const [key, request, file] = ["key", "csr", "ext"].map((end) => join(folder, `${name}.${end}`)) as [
      string,
      string,
      string,
    ];
    openssl("req", ...NEW_KEY, "-subj", subject, "-keyout", key, "-out", request);
    writeFileSync(file, extension);
    openssl(
      ...["x509", "-req", "-in", request, "-CA", join(folder, `${by}.crt`), "-CAkey", join(folder, `${by}.key`)],
      ...["-CAcreateserial", "-days", "2", "-extfile", file, "-out", join(folder, `${name}.crt`)],
    );
  };
  const pem = (name: string): string => readFileSync(join(folder, name), "utf8");
  const credentials = (who: string) => ({
    authorityPem: pem("server-ca.crt"),
    certificatePem: pem(`${who}.crt`),
    privateKeyPem: pem(`${who}.key`),
  });

  /** What the mirror gives out as K3s. */
  let published = FAKE_K3S;
  let mirrorPort: number;
  const mirror = createMirror((_request, response) => response.end(published));

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "trivet-boot-"));
    for (const name of ["server-ca", "client-ca", "other-ca"]) authority(name);
    leaf("admin", "client-ca", "/O=system:masters/CN=administrator", "extendedKeyUsage=clientAuth\n");
    leaf("stranger", "other-ca", "/O=system:masters/CN=stranger", "extendedKeyUsage=clientAuth\n");
    leaf("k3s", "server-ca", "/CN=k3s", `subjectAltName=IP:${ADDRESS.a}\n`);
    leaf("status", "server-ca", "/CN=agent", `subjectAltName=DNS:${AGENT_STATUS_NAME}\n`);
    await new Promise<void>((resolve) => mirror.listen(0, MIRROR_ADDRESS, resolve));
    mirrorPort = (mirror.address() as AddressInfo).port;
  });

  afterEach(async () => {
    for (const one of running.splice(0)) await one.stop();
    published = FAKE_K3S;
    rmSync(join(folder, "bucket-away"), { force: true });
  });

  afterAll(async () => {
    await new Promise((resolve) => mirror.close(resolve));
    rmSync(folder, { recursive: true, force: true });
  });

  /** The whole script on a disk of its own; only the firewall and the search for the interface are left out. */
  const boot = (name: Name, options: Options = {}): Booting => {
    const { generation = 1, password = "right", restore, servers = SERVERS, clock = 0, disk = {} } = options;
    const root = mkdtempSync(join(folder, `${name}-`));
    const put = (path: string, text: string): void => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    };
    const isAgent = name === "general-1";
    const token = fullToken(pem("server-ca.crt"), password);
    if (isAgent) {
      for (const file of ["server-ca.crt", "client-ca.crt", "status.crt", "status.key"])
        put(`/etc/trivet/${file}`, pem(file));
      put("/etc/rancher/k3s/config.yaml", `token: ${token.split("::")[0]}::node:agent-${password}\n`);
    } else {
      for (const file of ["server-ca.crt", "server-ca.key", "client-ca.crt"])
        put(`/var/lib/rancher/k3s/server/tls/${file}`, pem(file));
      put("/etc/rancher/k3s/config.yaml", `token: ${token}\nagent-token: agent-${password}\n`);
    }
    if (restore !== undefined) put("/etc/trivet/restore.yaml", "etcd-s3-bucket: honeydue-snapshots\n");
    for (const [path, text] of Object.entries(disk)) put(path, text);
    const sha256 = createHash("sha256").update(FAKE_K3S).digest("hex");
    const url = `http://${MIRROR_ADDRESS}:${mirrorPort}/k3s`;
    put(
      "/etc/trivet/k3s.env",
      ["AMD64", "ARM64"].map((kind) => `K3S_URL_${kind}=${url}\nK3S_SHA256_${kind}=${sha256}\n`).join(""),
    );
    const node = {
      cluster: "honeydue",
      node: name,
      role: isAgent ? "agent" : "server",
      generation,
      definition: "0123456789abcdef",
      subnet: "127.52.20.0/24",
      address: ADDRESS[name],
      peers: servers.map((peer) => ({ name: peer, address: ADDRESS[peer] })),
      restore,
      ...(isAgent ? {} : { apiName: `k8s-${name}.honeydue.example` }),
    };
    put("/etc/trivet/node.json", JSON.stringify(node));
    const code = `
import sys, time
sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True
import boot
boot.ASK_AGAIN_SECONDS = 0.2
boot.RETRY_SECONDS = (0.3,)
boot.private_interface = lambda subnet: ("ens10", "${ADDRESS[name]}")
boot.close_host = lambda: None
right = time.time
time.time = lambda: right() + ${clock}
boot.main()
`;
    const child = spawn("python3", ["-c", code, BOOT], {
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
      root,
      output: () => text,
      clusterFile: closed.then(() => {
        const file = join(root, "etc/rancher/k3s/config.yaml.d/20-cluster.yaml");
        return child.exitCode === 0 ? (existsSync(file) ? readFileSync(file, "utf8") : "none") : text;
      }),
    };
  };
  const INITIALISES = "cluster-init: true\n";
  const JOINS_A = `server: https://${ADDRESS.a}:6443\n`;

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
    const deadline = Date.now() + 60_000;
    while (!(await what())) {
      if (Date.now() > deadline) throw new Error("it did not happen within 60 s");
      await delay(50);
    }
  };
  const dropIn = (root: string, name: string): string => join(root, "etc/rancher/k3s/config.yaml.d", name);

  test("the lowest initialises; the others, an agent too, wait until it is ready and then join it", async () => {
    const agent = boot("general-1");
    const b = boot("b");
    // A server that boots tells it from a wrong token.
    await until(() => agent.output().includes("b: its K3s is not ready (503)"));
    const [a, c] = [boot("a"), boot("c")];
    expect(await a.clusterFile).toBe(INITIALISES);
    expect(readFileSync(dropIn(a.root, "10-net.yaml"), "utf8")).toBe(
      `node-ip: ${ADDRESS.a}\nflannel-iface: ens10\nadvertise-address: ${ADDRESS.a}\n`,
    );
    let ready = false;
    await k3s(() => ready);
    await until(() => b.output().includes("its K3s is not ready (500)"));
    await until(() => /no server serves: a: its K3s is not ready \(500\); b: /.test(agent.output()));
    ready = true;
    expect(await b.clusterFile).toBe(JOINS_A);
    expect(await c.clusterFile).toBe(JOINS_A);
    expect(await agent.clusterFile).toBe(JOINS_A);
    expect(readFileSync(dropIn(agent.root, "10-net.yaml"), "utf8")).not.toContain("advertise-address");
  });

  test("a peer of another generation is named as the reason to wait", async () => {
    const b = boot("b", { generation: 2 });
    const a = boot("a");
    await until(() => a.output().includes("b: it is of generation 2, this server of 1; c: it does not answer"));
    expect(a.output() + b.output()).not.toContain("trivet: start");
  });

  test("a peer with another token gets no answer, and its token is named as the reason to wait", async () => {
    boot("b", { password: "wrong" });
    boot("c");
    const a = boot("a");
    await until(() => a.output().includes("b: it does not know this server's token (401)"));
    expect(a.output()).not.toContain("trivet: start");
  });

  test("the operator is told what a server waits for, a stranger is not", async () => {
    boot("a");
    const ask = (who: string): ReturnType<typeof askServer> => askServer(doorAt("a", ADDRESS.a), credentials(who), 2);
    await until(async () => {
      const answer = await ask("admin");
      return !answer.ready && /^rendezvous: b: it does not answer \(.*\); c: .*, \d+ s$/.test(answer.reason);
    });
    expect(await ask("admin")).toMatchObject({
      boot: { node: "a", stage: "rendezvous", generation: 1, definition: "0123456789abcdef", fresh: true },
    });
    // Where its API is behind Cloudflare Access it is reached by a name, through a port of somebody's computer.
    const named = { ...doorAt("a", ADDRESS.a), serverName: "k8s-a.honeydue.example" };
    expect(await askServer(named, credentials("admin"), 2)).toMatchObject({ boot: { node: "a" } });
    const refused = await ask("stranger");
    expect(refused).toMatchObject({ ready: false });
    expect(JSON.stringify(refused)).not.toContain("rendezvous");
  });

  test("an agent answers by the one name that all agents have", async () => {
    boot("general-1");
    await until(async () => {
      const place = { host: ADDRESS["general-1"], port: 6443, called: "general-1" };
      const { reason } = await new KubernetesApi(place, credentials("admin"), "agent").readiness();
      return reason.startsWith("boots: rendezvous: no server serves: a: ");
    });
  });

  test("what is not the pinned K3s is never kept; the server says so, keeps answering, and goes on once it can", async () => {
    published = "something else";
    const a = boot("a", { servers: ["a"] });
    await until(async () => {
      const answer = await askServer(doorAt("a", ADDRESS.a), credentials("admin"), 2);
      return (
        !answer.ready &&
        /^failed: http:.*: sha256 is [0-9a-f]{64}, wanted [0-9a-f]{64}: thrown away/.test(answer.reason)
      );
    });
    expect(existsSync(join(a.root, "usr/local/bin/k3s"))).toBe(false);
    published = FAKE_K3S;
    expect(await a.clusterFile).toBe(INITIALISES); // alone: there is nobody to ask
  });

  test("a server with data starts with it, whatever else it is told", async () => {
    const a = boot("a", { restore: "snapshot-1", disk: { "/var/lib/rancher/k3s/server/db/etcd/member/wal": "" } });
    expect(await a.clusterFile).toBe("none");
    expect(a.output()).toContain("start: K3s has data here");
    expect(existsSync(join(a.root, "called"))).toBe(false);
  });

  test("the name that a refused member left behind is no data", async () => {
    const a = boot("a", { disk: { "/var/lib/rancher/k3s/server/db/etcd/name": "a-0123abcd" } });
    await until(() => a.output().includes("b: it does not answer"));
  });

  test("a clock before the authority's time is named, and no cluster is begun by it", async () => {
    const a = boot("a", { servers: ["a"], clock: -3600 });
    await until(() =>
      /failed: this server's clock says .*, but the cluster's authority is valid from .*: waiting/.test(a.output()),
    );
    expect(a.output()).not.toContain("trivet: start");
  });

  test("the one that initialises restores the snapshot, the others join it", async () => {
    const restore = "etcd-snapshot-honeydue-a-1795270000";
    const [a, b] = [boot("a", { restore }), boot("b", { restore }), boot("c", { restore })];
    expect(await a.clusterFile).toBe(INITIALISES);
    expect(readFileSync(join(a.root, "called"), "utf8")).toBe(
      `server --cluster-reset --cluster-reset-restore-path=${restore}\n`,
    );
    expect(readFileSync(join(a.root, "options-seen"), "utf8")).toBe("etcd-s3-bucket: honeydue-snapshots\n");
    expect(existsSync(dropIn(a.root, "30-restore.yaml"))).toBe(false);
    await k3s(() => true);
    expect(await b.clusterFile).toBe(JOINS_A);
    expect(existsSync(join(b.root, "called"))).toBe(false);
  });

  test("servers that are to begin with different things do not begin", async () => {
    const a = boot("a");
    boot("b", { restore: "snapshot-1" });
    boot("c", { restore: "snapshot-1" });
    await until(() => a.output().includes("b: it is to begin with snapshot-1, this server with no snapshot"));
    expect(a.output()).not.toContain("trivet: start");
  });

  test("a restore that fails says why, leaves no data, and is done again", async () => {
    writeFileSync(join(folder, "bucket-away"), "");
    const a = boot("a", { restore: "snapshot-1", servers: ["a"] });
    await until(async () => {
      const answer = await askServer(doorAt("a", ADDRESS.a), credentials("admin"), 2);
      return (
        !answer.ready &&
        answer.reason.startsWith(
          'failed: snapshot-1 was not restored, k3s ended with 1: level=fatal msg="bucket honeydue-snapshots does not exist"',
        ) &&
        answer.boot?.fresh === true // half a restore is none
      );
    });
    expect(existsSync(dropIn(a.root, "30-restore.yaml"))).toBe(false);
    rmSync(join(folder, "bucket-away"));
    expect(await a.clusterFile).toBe(INITIALISES);
    expect(existsSync(join(a.root, "var/lib/trivet/restoring"))).toBe(false);
  });
});
