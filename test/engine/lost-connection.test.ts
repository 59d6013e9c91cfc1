import { inventory, type LoopbackPrefix, openRehearsal, type TestRehearsal } from "../support/rehearsal";

/**
 * Crash consistency. For call n of an `up`: the cloud carries the call out, the answer is lost, and from then on nothing gets
 * through to this cloud. The next run must end with the same inventory as a run without trouble: nothing missing, nothing twice.
 *
 * TRIVET_CRASH_POINTS=all tries every n (about half a minute each); else a spread is tried that holds the first and the last call, and
 * one create of each kind of resource.
 */
const CLOUDS = ["hetzner", "cloudflare"] as const;
type Cloud = (typeof CLOUDS)[number];

const RUN = {
  // Only the clouds matter here; the cluster's own objects are tried in lifecycle.test.ts.
  args: ["--exclude", "**kubernetes**", "--skip-preview"],
  // Lost connections are tried again; the waits in between are a matter of minutes.
  environment: { TRIVET_RETRY_DELAY_MILLISECONDS: "2" },
};

/** One server calls the clouds in every way that three do, and boots in a third of the time. */
const ONE_SERVER = { "trivet:environment": "staging", "trivet:nodes": 1 };

interface Call {
  cloud: Cloud;
  /** Counted per cloud, from 1. */
  number: number;
  method: string;
  path: string;
}

describe("a connection that is lost in the middle of an up", () => {
  let whole: TestRehearsal;
  let calls: Call[];
  let expected: Record<Cloud, unknown>;

  beforeAll(async () => {
    whole = await openRehearsal({ loopbackPrefix: "127.42.1", config: ONE_SERVER });
    const up = await whole.rehearsal.run("up", RUN);
    expect(up.errors).toEqual([]);
    calls = CLOUDS.flatMap((cloud) =>
      whole.rehearsal[cloud].journal
        .entries()
        .map(({ method, path }, index) => ({ cloud, number: index + 1, method, path: routeOf(path) })),
    );
    expected = await inventories(whole);
  });

  afterAll(() => whole.close());

  test("is followed by a run that converges, with no orphan in either inventory", async () => {
    const points = process.env["TRIVET_CRASH_POINTS"] === "all" ? calls : spread(calls);
    console.log(
      `lost connections after ${points.length} of ${calls.length} calls: ${points.map(describeCall).join("; ")}`,
    );
    expect(points.length).toBeGreaterThanOrEqual(10);
    const failures: string[] = [];
    const waiting = [...points.entries()];
    const worker = async (prefix: LoopbackPrefix): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const problem = await tryPoint(next[1], prefix);
        if (problem !== undefined) failures.push(`${describeCall(next[1])}: ${problem}`);
      }
    };
    await Promise.all([worker("127.42.2"), worker("127.42.3")]);
    expect(failures).toEqual([]);
  }, 3_600_000);

  async function tryPoint(point: Call, loopbackPrefix: LoopbackPrefix): Promise<string | undefined> {
    const opened = await openRehearsal({ loopbackPrefix, config: ONE_SERVER });
    let made: number;
    try {
      const emulator = opened.rehearsal[point.cloud];
      emulator.faults.add({ nth: point.number, effect: "drop-after" });
      emulator.faults.add({ nth: point.number + 1, times: Number.MAX_SAFE_INTEGER, effect: "drop-before" });
      await opened.rehearsal.run("up", RUN);
      if (emulator.faults.entries()[0]?.hits === 1) {
        emulator.faults.clear();
        const next = await opened.rehearsal.run("up", RUN);
        if (!next.ok) return `the next run failed: ${next.errors.join(" ")}`;
        const [left, whole] = [JSON.stringify(await inventories(opened)), JSON.stringify(expected)];
        return left === whole ? undefined : `left ${left} instead of ${whole}`;
      }
      made = emulator.journal.entries().length;
    } finally {
      await opened.close();
    }
    // How often an action is asked for differs from run to run: this run had fewer calls, so its own last one is lost instead.
    return made < point.number ? tryPoint({ ...point, number: made }, loopbackPrefix) : "the fault hit no call";
  }
});

/** The path without the ids in it: calls that differ in nothing else are one kind. */
const routeOf = (path: string): string =>
  path
    .replaceAll(/[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "*")
    .replaceAll(/\/\d+/g, "/*")
    .replace(/\/settings\/.*/, "/settings/*");

const describeCall = ({ cloud, number, method, path }: Call): string => `${cloud} ${number} ${method} ${path}`;

/** First and last call of each cloud, and the first call of each method and route that changes something. */
function spread(calls: readonly Call[]): Call[] {
  const chosen = new Map<string, Call>();
  for (const cloud of CLOUDS) {
    const own = calls.filter((call) => call.cloud === cloud);
    for (const call of [own[0], own.at(-1)]) if (call) chosen.set(describeCall(call), call);
    const writes = new Map(
      own.filter(({ method }) => method !== "GET").map((call) => [`${call.method} ${call.path}`, call]),
    );
    for (const call of writes.values()) chosen.set(describeCall(call), call);
  }
  return [...chosen.values()];
}

/** Names and numbers of what the clouds hold; ids and times differ from run to run. */
async function inventories(opened: TestRehearsal): Promise<Record<Cloud, unknown>> {
  const summarise = (state: Record<string, unknown[]>): Record<string, string[]> =>
    Object.fromEntries(
      Object.entries(state)
        .filter(([kind]) => kind !== "actions")
        .map(([kind, all]) => [kind, all.map(identity).sort()] as const)
        .sort(([one], [other]) => one.localeCompare(other)),
    );
  return {
    hetzner: summarise(await inventory(opened.rehearsal.hetzner)),
    cloudflare: summarise(await inventory(opened.rehearsal.cloudflare)),
  };
}

/** What tells two objects of a kind apart, and what they are connected to. */
function identity(object: unknown): string {
  const { name, id, hostnames, type, value, ...rest } = object as Record<string, unknown>;
  const { subnets, rules, applied_to, servers, private_net, public_net } = rest as Record<
    string,
    unknown[] | undefined
  >;
  // Drawn by the cloud, another one in each run.
  const isDrawn = typeof id === "string" && /^[0-9a-f]{32}$/.test(id);
  return JSON.stringify([
    // With the mark of the installation, which each run draws anew.
    typeof name === "string"
      ? name.replace(/\(trivet [0-9a-f]{16}\)/, "(trivet *)")
      : (hostnames ?? (isDrawn ? "*" : id)),
    type,
    value,
    [subnets, rules, applied_to, servers, private_net].map((list) => list?.length ?? 0),
    (public_net as { firewalls?: unknown[] } | undefined)?.firewalls?.length ?? 0,
  ]);
}
