import type { Architecture } from "./platform";

/**
 * K3s releases that Trivet installs, with the sha256 of their binaries, copied from the releases' `sha256sum-<arch>.txt`.
 * An architecture without a checksum cannot be chosen: a binary that runs as root is never taken on trust.
 * Collected 2026-11-21; each pair of v1.36.4 was read in eight or more independent projects.
 */
export const K3S_RELEASES: Readonly<Record<string, Readonly<Partial<Record<Architecture, string>>>>> = {
  "v1.36.5+k3s1": { x86: "d73847bcd3c5fccef0115b372e2f9a91f3032dc84bbf71518a4617565294d313" },
  "v1.36.4+k3s1": {
    x86: "835873f37245fc615f547a2fe2af9402a347875f13fa64a1f136de644955ea3f",
    arm: "c920706346d5ad4e5cd3c7bf1bb09ce71ebe07fec829e513e40f1caf98aed8bb",
  },
  "v1.36.3+k3s1": {
    x86: "2f98a9f8fe5782479ee2d54e70a1b10a7f6fd4cae8d38ed3098452dc6eed76b5",
    arm: "c9a209103f480f163b7c6a56f00862b4481927b284dc29a3716bb70d886691a8",
  },
  "v1.36.2+k3s1": { arm: "1dc5fc17f15c28fa0a3f011cee28ad613f918c3d967a426e5a05d43ddb239817" },
};

const ASSETS: Readonly<Record<Architecture, string>> = { x86: "k3s", arm: "k3s-arm64" };

/** Where the binary is downloaded. The plus sign must be escaped, or GitHub answers 404. */
export const k3sUrl = (version: string, architecture: Architecture): string =>
  `https://github.com/k3s-io/k3s/releases/download/${version.replaceAll("+", "%2B")}/${ASSETS[architecture]}`;
