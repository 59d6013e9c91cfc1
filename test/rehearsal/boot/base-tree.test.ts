import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CannotBoot, ensureBaseTree, findBaseTree, obstacles } from "../../../rehearsal/boot";

const here = obstacles({ baseTree: false });
if (here.length > 0) console.warn(`Skipped: ${here.join("; ")}`);

/** Stands in for debootstrap: the tree is its last argument but one. */
const DEBOOTSTRAP = `#!/bin/sh
set -e
echo run >> "$LOG"
echo "I: Retrieving everything"
for last; do before=$tree; tree=$last; done
[ -e "$BROKEN" ] && { echo "E: no such mirror" >&2; exit 1; }
[ -e "$SLOW" ] && sleep 60
mkdir -p "$tree/usr" "$before/usr"
`;

afterEach(() => jest.restoreAllMocks());

test("says what a machine lacks: another system, no root", () => {
  jest.spyOn(process, "getuid").mockReturnValue(1000);
  expect(obstacles({ baseTree: false })).toEqual(["it needs root, for namespaces and mounts: start it with sudo"]);
  const platform = Object.getOwnPropertyDescriptor(process, "platform")!;
  Object.defineProperty(process, "platform", { ...platform, value: "darwin" });
  try {
    expect(obstacles({ baseTree: true })).toEqual(["it needs Linux: this is darwin"]);
  } finally {
    Object.defineProperty(process, "platform", platform);
  }
});

(here.length === 0 ? describe : describe.skip)("the base tree", () => {
  let folder: string;
  let log: string;
  const file = (name: string): string => join(folder, name);
  const runs = (): number => (existsSync(log) ? readFileSync(log, "utf8").trim().split("\n").length : 0);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "trivet-tree-"));
    log = file("log");
    for (const [name, content] of [
      ["debootstrap", DEBOOTSTRAP],
      ["chroot", "#!/bin/sh\n"],
    ] as const)
      writeFileSync(file(name), content, { mode: 0o755 });
    jest.replaceProperty(process, "env", {
      ...process.env,
      PATH: `${folder}:${process.env["PATH"]}`,
      LOG: log,
      BROKEN: file("broken"),
      SLOW: file("slow"),
    });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const cache = (): string => file("cache");

  test("is built once by two that want it at once, and found from then on", async () => {
    const phases: string[] = [];
    const ensure = (): Promise<string> =>
      ensureBaseTree({ cache: cache(), onProgress: ({ phase }) => phases.push(phase) });
    const [one, other] = await Promise.all([ensure(), ensure()]);
    expect(one).toBe(other);
    expect(existsSync(join(one, "etc/cloud/cloud.cfg.d/90-trivet-rehearsal.cfg"))).toBe(true);
    expect(await findBaseTree(cache())).toBe(one);
    expect(runs()).toBe(1);
    expect(new Set(phases)).toEqual(new Set(["debootstrap", "apt", "ready", "waiting"]));
  });

  test("leaves nothing half done when its building fails, says the last words, and is built the next time", async () => {
    writeFileSync(file("broken"), "");
    const failure = await ensureBaseTree({ cache: cache() }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CannotBoot);
    expect((failure as Error).message).toContain("E: no such mirror");
    expect(await findBaseTree(cache())).toBeUndefined();
    expect(readdirSync(join(cache(), "work"))).toEqual([]);
    rmSync(file("broken"));
    expect(existsSync(await ensureBaseTree({ cache: cache() }))).toBe(true);
  });

  test("can be given up at any moment", async () => {
    writeFileSync(file("slow"), "");
    const giveUp = new AbortController();
    const building = ensureBaseTree({
      cache: cache(),
      signal: giveUp.signal,
      onProgress: ({ detail }) => detail.startsWith("Retrieving") && giveUp.abort(),
    });
    await expect(building).rejects.toThrow("aborted");
    expect(readdirSync(join(cache(), "work"))).toEqual([]);
  });
});
