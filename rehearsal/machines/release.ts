import type { Problem } from "../k3s/boot-failure";
import { didYouMean } from "../k3s/did-you-mean";
import type { FileTree } from "../k3s/file-tree";
import releases from "./releases.json";

const RELEASE_FILE = "/etc/trivet/k3s.env";

const PUBLISHED: Readonly<Record<string, { amd64?: string; arm64?: string }>> = Object.fromEntries(
  Object.entries(releases).flatMap(([version, sums]) => (typeof sums === "string" ? [] : [[version, sums]])),
);

export interface K3sRelease {
  /** For example `v1.36.4+k3s1`. */
  version: string;
}

const OFFICIAL = "https://github.com/k3s-io/k3s/releases/download/";

/**
 * Reads the pinned K3s release. From the project's own place it must be a published one, with the checksum that the boot script would
 * find after the download; what another place has (`K3S_URL_...`) nobody knows here, so any checksum is accepted.
 */
export function readRelease(
  tree: FileTree,
  architecture: "x86" | "arm",
): { release?: K3sRelease; problems: Problem[] } {
  const problems: Problem[] = [];
  const add = (what: string, name = ""): void =>
    void problems.push({ where: name === "" ? RELEASE_FILE : `${RELEASE_FILE}: ${name}`, what });
  const text = tree.text(RELEASE_FILE);
  if (text === undefined) {
    add("is missing; it pins the K3s release: K3S_VERSION, K3S_SHA256_AMD64, K3S_SHA256_ARM64");
    return { problems };
  }
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (/^\s*(#|$)/.test(line)) continue;
    const found = /^\s*([A-Z0-9_]+)=(['"]?)(.*?)\2\s*$/.exec(line);
    if (found) values.set(found[1]!, found[3]!);
    else add("has a line that is not NAME=value");
  }
  const version = values.get("K3S_VERSION");
  if (version === undefined || !/^v\d+\.\d+\.\d+\+k3s\d+$/.test(version)) {
    add(version === undefined ? "is missing" : `got "${version}"; must be such as v1.36.4+k3s1`, "K3S_VERSION");
    return { problems };
  }
  const own = architecture === "arm" ? "ARM64" : "AMD64";
  const url = values.get(`K3S_URL_${own}`);
  const isOfficial = url === undefined || url.startsWith(OFFICIAL);
  if (url !== undefined && !/^https?:\/\//.test(url)) add("must be an http or https URL", `K3S_URL_${own}`);
  if (url !== undefined && isOfficial && !url.startsWith(`${OFFICIAL}${encodeURIComponent(version)}/`))
    add(`is not a file of ${version}`, `K3S_URL_${own}`);
  const known = isOfficial ? PUBLISHED[version] : undefined;
  if (!known && isOfficial)
    add(
      `${version}: no checksum of this release is known to the rehearsal (releases.json); known: ${Object.keys(PUBLISHED).join(", ")}.${didYouMean(version, Object.keys(PUBLISHED))}`,
      "K3S_VERSION",
    );
  for (const [name, kind] of [
    ["K3S_SHA256_AMD64", "amd64"],
    ["K3S_SHA256_ARM64", "arm64"],
  ] as const) {
    const sum = values.get(name);
    const isOwn = kind === (architecture === "arm" ? "arm64" : "amd64");
    if (sum === undefined) {
      if (isOwn) add(`is missing; this server is ${kind}`, name);
    } else if (!/^[0-9a-f]{64}$/.test(sum)) add("must be 64 hexadecimal digits in lower case", name);
    else if (known && known[kind] !== undefined && known[kind] !== sum)
      add(
        `is not the published checksum of k3s ${version} for ${kind}; the boot script would refuse the download`,
        name,
      );
    else if (known && known[kind] === undefined && isOwn)
      add(
        `no published checksum of ${version} for ${kind} is known to the rehearsal, so it cannot judge this one`,
        name,
      );
  }
  return { release: { version }, problems };
}
