import { createHash } from "node:crypto";
import { latest, named, renderSnapshots } from "../../operations/commands/restore";
import {
  refusals,
  reservations,
  type Snapshot,
  takenAt,
  tokenHash,
  type WantedCluster,
} from "../../operations/snapshots";
import { NOW } from "./support/fixtures";

const PASSWORD = "a-password-of-forty-eight-letters";
const TOKEN = `K10${"0f".repeat(32)}::server:${PASSWORD}`;
const HASH = createHash("sha256").update(PASSWORD).digest("hex").slice(0, 12);

const WANTED: WantedCluster = {
  hostnames: ["honeydue-a", "honeydue-b", "honeydue-c"],
  folder: "honeydue-g2",
  k3s: "v1.36.4+k3s1",
  serverToken: TOKEN,
  clusterId: "uid-of-ours",
};

const snapshot = (parts: Partial<Snapshot> = {}): Snapshot => ({
  name: "etcd-snapshot-honeydue-b-1795266000",
  folder: "honeydue-g2",
  bytes: 4_200_000,
  taken: new Date("2026-11-21T13:00:00Z"),
  node: "honeydue-b",
  clusterId: "uid-of-ours",
  tokenHash: HASH,
  k3s: "v1.36.4+k3s1",
  ...parts,
});

test("a snapshot's name says when it was taken, compressed or not", () => {
  expect(takenAt("etcd-snapshot-honeydue-a-1763740800")).toEqual(new Date(1_763_740_800_000));
  expect(takenAt("on-demand-honeydue-general-1-1763740800.zip")).toEqual(new Date(1_763_740_800_000));
  expect(takenAt("before-the-upgrade")).toBeUndefined();
});

test("the token's hash is of its password alone, as K3s makes it", () => {
  expect(tokenHash(TOKEN)).toBe(HASH);
  expect(tokenHash(PASSWORD)).toBe(HASH);
  expect(tokenHash(`${TOKEN}x`)).not.toBe(HASH);
});

describe("a snapshot is refused", () => {
  test("never when it is this cluster's own, of the same minor or an older one", () => {
    expect(refusals(snapshot(), WANTED)).toEqual([]);
    expect(refusals(snapshot({ k3s: "v1.36.9+k3s1" }), WANTED)).toEqual([]);
    expect(refusals(snapshot({ k3s: "v1.35.7+k3s1" }), WANTED)).toEqual([]);
  });

  test.each<[string, Partial<Snapshot>, RegExp]>([
    [
      "of another cluster",
      { clusterId: "uid-of-theirs" },
      /another cluster \(uid-of-theirs; this one is uid-of-ours\)/,
    ],
    ["taken with another token", { tokenHash: "0123456789ab" }, /another server token/],
    ["taken by a newer minor", { k3s: "v1.37.1+k3s1" }, /taken by K3s v1\.37\.1.*trivet:k3s v1\.37\.1\+k3s1/],
    ["in another generation's folder", { folder: "honeydue-g1" }, /lies in honeydue-g1.*restores from honeydue-g2/],
    ["taken by a server of another platform", { node: "farm-a" }, /taken by farm-a.*honeydue-a, honeydue-b/],
  ])("when it is %s, with this reason alone", (_, parts, reason) => {
    const reasons = refusals(snapshot(parts), WANTED);
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toMatch(reason);
    expect(reasons[0]).not.toContain(PASSWORD);
  });

  test("with every reason at once", () => {
    expect(refusals(snapshot({ clusterId: "x", tokenHash: "y", k3s: "v1.38.0+k3s1" }), WANTED)).toHaveLength(3);
  });
});

test("what cannot be checked is no refusal, but is said", () => {
  const bare = snapshot({ tokenHash: undefined, k3s: undefined, node: undefined });
  const dead = { ...WANTED, clusterId: undefined };
  expect(refusals(bare, dead)).toEqual([]);
  expect(reservations(bare, dead)).toEqual([
    "whether it was taken with this cluster's token cannot be told",
    "it does not say which version of K3s took it",
    "no API server can be asked whether it is of this cluster; its token says so",
  ]);
  expect(reservations(snapshot(), WANTED)).toEqual([]);
});

describe("which snapshot is meant", () => {
  const newer = snapshot({ name: "etcd-snapshot-honeydue-a-1795269600", taken: new Date("2026-11-21T14:00:00Z") });
  const stray = snapshot({ name: "etcd-snapshot-farm-a-1795273200", taken: NOW, node: "farm-a", clusterId: "theirs" });

  test("--latest is the newest that fits, past a newer one that does not", () => {
    expect(latest([snapshot(), newer, stray], WANTED).name).toBe(newer.name);
  });

  test("--latest says why the newest does not fit when none does, and when there is none at all", () => {
    expect(() => latest([stray], WANTED)).toThrow(/None of the 1 snapshots fits.*another cluster/);
    expect(() => latest([], WANTED)).toThrow("There is no snapshot in the bucket.");
  });

  test("a name that is not there is refused, with the nearest one", () => {
    expect(named([snapshot(), newer], newer.name)).toBe(newer);
    expect(() => named([newer], "etcd-snapshot-honeydue-a-1795269601")).toThrow(
      /Did you mean "etcd-snapshot-honeydue-a-1795269600"/,
    );
    expect(() => named([newer], undefined)).toThrow(/--latest; --list/);
  });
});

test("the list shows the newest first, and why one cannot be restored", () => {
  const older = snapshot({
    folder: "honeydue-g1",
    name: "etcd-snapshot-honeydue-a-1790000000",
    taken: new Date("2026-09-21T14:00:00Z"),
    k3s: undefined,
  });
  const lines = renderSnapshots([older, snapshot()], WANTED, NOW).split("\n");
  expect(lines[1]).toBe(
    "etcd-snapshot-honeydue-b-1795266000              2 h      4.2 MB  honeydue-b  v1.36.4+k3s1  yes",
  );
  expect(lines[2]).toMatch(
    /^honeydue-g1\/etcd-snapshot-honeydue-a-1790000000 +61 days .* \? +no: it lies in honeydue-g1/,
  );
  expect(renderSnapshots([], WANTED, NOW)).toBe("There is no snapshot in the bucket.");
});
