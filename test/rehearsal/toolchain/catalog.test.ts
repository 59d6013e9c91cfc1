import { createHash } from "node:crypto";
import { appendFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CATALOG, KWOK_STAGES_FILE, TOOL_NAMES } from "../../../rehearsal/toolchain";
import { currentPlatform, type ToolPin } from "../../../rehearsal/toolchain/catalog";
import { recipeDigest } from "../../../rehearsal/toolchain/go-build";
import { compareVersions, isWithin, readVersion } from "../../../rehearsal/toolchain/versions";

const modules = join(__dirname, "..", "..", "..", "rehearsal", "toolchain", "modules");
const pins: [string, ToolPin][] = Object.entries(CATALOG);

/** The version that a go.mod pins for the module that a package belongs to. */
function pinnedVersion(goMod: string, goPackage: string): string | undefined {
  const requires = [...goMod.matchAll(/^\s*(?:require )?(\S+) (v\S+)/gm)].filter(([, path]) =>
    `${goPackage}/`.startsWith(`${path}/`),
  );
  return requires.sort(([, a = ""], [, b = ""]) => b.length - a.length)[0]?.[2];
}

test("every tool has an entry under its own name", () => {
  expect(pins.map(([name]) => name)).toEqual([...TOOL_NAMES]);
  for (const [name, pin] of pins) expect(pin.name).toBe(name);
});

test.each(pins)("%s is built from the version that is downloaded and that the cache is named after", (_, pin) => {
  const goMod = readFileSync(join(modules, pin.go.module, "go.mod"), "utf8");
  const goPackage = pin.go.package === "." ? "k8s.io/kubernetes" : pin.go.package;
  expect(pinnedVersion(goMod, goPackage)).toBe(`v${pin.version}`);
  expect(existsSync(join(modules, pin.go.module, "go.sum"))).toBe(true);
  expect(isWithin(pin.version, pin.fits)).toBe(true);
});

test("the Kubernetes module takes every part of Kubernetes from one release", () => {
  const goMod = readFileSync(join(modules, "kubernetes", "go.mod"), "utf8");
  const replaced = [...goMod.matchAll(/^\tk8s\.io\/(\S+) => k8s\.io\/(\S+) (v\S+)$/gm)];
  expect(replaced).toHaveLength(33);
  for (const [, from, to, version] of replaced) expect([from, version]).toEqual([to, "v0.36.4"]);
});

test("Traefik is built with the forks that its own go.mod asks for, and with the module that its release leaves out", () => {
  const folder = join(modules, "traefik");
  const replaced = [...readFileSync(join(folder, "go.mod"), "utf8").matchAll(/^\t(\S+) => (.+)$/gm)];
  expect(Object.fromEntries(replaced.map(([, from, to]) => [from, to]))).toEqual({
    "github.com/abbot/go-http-auth": "github.com/containous/go-http-auth v0.4.1-0.20200324110947-a37a7636d23e",
    "github.com/gorilla/mux": "github.com/containous/mux v0.0.0-20250523120546-41b6ec3aed59",
    "github.com/traefik/traefik/dynamic/ext": "./ext",
  });
});

test("what a recipe makes depends on every file of its module, also of the modules inside it", async () => {
  const copy = mkdtempSync(join(tmpdir(), "trivet-modules-"));
  try {
    cpSync(join(modules, "traefik"), join(copy, "traefik"), { recursive: true });
    const before = await recipeDigest(copy, CATALOG.traefik.go);
    expect(before).toBe(await recipeDigest(modules, CATALOG.traefik.go));
    appendFileSync(join(copy, "traefik", "ext", "ext.go"), "// changed\n");
    expect(await recipeDigest(copy, CATALOG.traefik.go)).not.toBe(before);
  } finally {
    rmSync(copy, { recursive: true });
  }
});

test.each(pins)("%s is downloaded over https, by the pinned version, with a checksum of its own", (_, pin) => {
  const releases = Object.values(pin.releases);
  for (const { url, sha256 } of releases) {
    expect(url).toMatch(/^https:\/\/(get\.pulumi\.com|github\.com|dl\.k8s\.io)\//);
    expect(url).toContain(`v${pin.version}`);
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  }
  expect(new Set(releases.map(({ sha256 }) => sha256)).size).toBe(releases.length);
});

test("kwok's stages are those of its release, byte for byte", () => {
  // The digest of the asset stage-fast.yaml of v0.8.0; `kubectl kustomize kustomize/stage/fast` of the module gives it.
  const digest = createHash("sha256").update(readFileSync(KWOK_STAGES_FILE)).digest("hex");
  expect(digest).toBe("2f28d95564ec43056c0873f7a25ac7d2a5bba4c8496c72f8b3ee73fd4f54ee24");
});

test.each([
  ["pulumi", "v3.259.0\n", "3.259.0"],
  ["etcd", "etcd Version: 3.6.14\nGit SHA: a1b2c3d\nGo Version: go1.26.8\n", "3.6.14"],
  ["kubectl", "Client Version: v1.36.4\nKustomize Version: v5.8.1\n", "1.36.4"],
  ["kube-apiserver", "Kubernetes v1.36.4+k3s1\n", "1.36.4"],
  ["kwok", "kwok version v0.8.0 go1.26.8 (linux/amd64)\n", "0.8.0"],
  ["vmagent", "vmagent-20260824-101112-tags-v1.150.0-0-gabcdef\n", "1.150.0"],
  [
    "traefik",
    "Version:      3.7.9\nCodename:     cheddar\nGo version:   go1.26.8\nOS/Arch:      linux/amd64\n",
    "3.7.9",
  ],
  ["pebble", "Pebble version: 2.10.1\n", "2.10.1"],
  ["a tool that says nothing of the kind", "usage: tool [flags]\n", null],
])("the version is read from what %s prints", (_, output, version) => {
  expect(readVersion(output)).toBe(version);
});

test("versions are compared as numbers", () => {
  expect(["1.10.0", "1.9.9", "1.9.10", "0.36.4"].sort(compareVersions)).toEqual([
    "0.36.4",
    "1.9.9",
    "1.9.10",
    "1.10.0",
  ]);
});

test("an unknown machine is refused with those that are known, Windows with the way that works", () => {
  expect(currentPlatform("darwin", "arm64")).toBe("darwin-arm64");
  expect(currentPlatform("linux", "x64")).toBe("linux-amd64");
  expect(() => currentPlatform("linux", "riscv64")).toThrow("Linux and macOS on x64 and arm64");
  expect(() => currentPlatform("win32", "x64")).toThrow("WSL 2");
});
