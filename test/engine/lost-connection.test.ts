import { inventory, openRehearsal, type TestRehearsal } from "../support/rehearsal";

/**
 * Crash consistency. For call n of an `up`: the cloud carries the call out, the answer is lost, and from then on nothing gets
 * through to this cloud. The next run must end with the same inventory as a run without trouble: nothing missing, nothing twice.
 *
 * TRIVET_CRASH_POINTS=all tries every n (about half a minute each); else a spread is tried that holds the first and the last call, and
 * one create of each kind of resource.
 */
const CLOUDS = ["hetzner", "cloudflare"] as const;
type Cloud = (typeof CLOUDS)[number];

/** Only the clouds matter here; the cluster's own objects are tried in lifecycle.test.ts. */
const CLOUD_ONLY = ["--exclude", "**kubernetes**"];

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
    whole = await openRehearsal({ loopbackPrefix: "127.42.1" });
    const up = await whole.rehearsal.run("up", { args: CLOUD_ONLY });
    expect(up.errors).toEqual([]);
    calls = CLOUDS.flatMap((cloud) =>
      whole.rehearsal[cloud].journal
        .entries()
        .map(({ method, path }, index) => ({ cloud, number: index + 1, method, path: path.replace(/\d+/g, "N") })),
    );
    expected = await inventories(whole);
  }, 120_000);

  afterAll(() => whole.close(), 60_000);

  test("is followed by a run that converges, with no orphan in either inventory", async () => {
    const points = process.env["TRIVET_CRASH_POINTS"] === "all" ? calls : spread(calls);
    console.log(
      `lost connections after ${points.length} of ${calls.length} calls: ${points.map(describeCall).join("; ")}`,
    );
    expect(points.length).toBeGreaterThanOrEqual(10);
    const failures: string[] = [];
    for (const [index, point] of points.entries()) {
      const opened = await openRehearsal({ loopbackPrefix: `127.42.${2 + (index % 50)}` });
      try {
        const emulator = opened.rehearsal[point.cloud];
        emulator.faults.add({ nth: point.number, effect: "drop-after" });
        emulator.faults.add({ nth: point.number + 1, times: Number.MAX_SAFE_INTEGER, effect: "drop-before" });
        const broken = await opened.rehearsal.run("up", { args: CLOUD_ONLY });
        emulator.faults.clear();
        const next = await opened.rehearsal.run("up", { args: CLOUD_ONLY });
        const left = await inventories(opened);
        if (!next.ok) failures.push(`${describeCall(point)}: the next run failed: ${next.errors.join(" ")}`);
        else if (JSON.stringify(left) !== JSON.stringify(expected)) {
          failures.push(`${describeCall(point)}: left ${JSON.stringify(left)}, first run ok: ${broken.ok}`);
        }
      } finally {
        await opened.close();
      }
    }
    expect(failures).toEqual([]);
  }, 1_800_000);
});

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

function identity(object: unknown): string {
  const { name, id, type, hostnames, value } = object as Record<string, unknown>;
  return [name ?? hostnames ?? id, type, value]
    .filter((part) => part !== undefined)
    .map((part) => JSON.stringify(part))
    .join(" ");
}
