import type { Architecture } from "./platform";

/**
 * K3s releases that Trivet installs, with the sha256 of their binaries, copied from the releases' `sha256sum-<arch>.txt`.
 * An architecture without a checksum cannot be chosen: a binary that runs as root is never taken on trust.
 *
 * Collected 2026-11-21 from published projects. A: three or more agree; B: two; C: one alone. A wrong one here cannot do harm
 * (the download does not match, and the node says so), but compare a C with the release's own file before you roll a cluster to it.
 */
export const K3S_RELEASES: Readonly<Record<string, Readonly<Partial<Record<Architecture, string>>>>> = {
  "v1.37.1+k3s1": {
    x86: "92b94582eb7b34a8cf532e6006842b9ed215a6783cf56a3dd6271fd35243b2c0", // C
    arm: "a1561ca4aef8b99f5588a840d4468ac39c8c1cd92470bbcb9634823fa221741a", // C
  },
  "v1.36.5+k3s1": {
    x86: "d73847bcd3c5fccef0115b372e2f9a91f3032dc84bbf71518a4617565294d313", // A
  },
  "v1.36.4+k3s1": {
    x86: "835873f37245fc615f547a2fe2af9402a347875f13fa64a1f136de644955ea3f", // A, more than ten
    arm: "c920706346d5ad4e5cd3c7bf1bb09ce71ebe07fec829e513e40f1caf98aed8bb", // A, more than eight
  },
  "v1.36.3+k3s1": {
    x86: "2f98a9f8fe5782479ee2d54e70a1b10a7f6fd4cae8d38ed3098452dc6eed76b5", // A
    arm: "c9a209103f480f163b7c6a56f00862b4481927b284dc29a3716bb70d886691a8", // A
  },
  "v1.36.2+k3s1": {
    arm: "1dc5fc17f15c28fa0a3f011cee28ad613f918c3d967a426e5a05d43ddb239817", // B
  },
  "v1.36.1+k3s1": {
    x86: "a443db3fe9820cd93617ae67e4386d87c1514c1e96ceb30f4c2791c39065653c", // C
    arm: "2240e9f7fd8cf36e9998d7ef18781975780d724b59408174618ec15b410891dc", // C
  },
  "v1.35.8+k3s1": {
    x86: "12f81c9bb5b71e098a4f7a2d187e350902a9339a6c3d5e56c20a03f7a417e07f", // C
    arm: "898476e008704289382377ef19946f23b511cf2678042cb5c8aef991e64f840a", // A
  },
  "v1.35.7+k3s1": {
    x86: "5fc25309c53031e0cf03f7ee85f6f60969381ff3649039ffda19e30f5c26947a", // C
  },
  "v1.34.11+k3s1": {
    arm: "272f45b9efc69d0bbdb7042156156c6903087829a5003d4593af0ad2d08d76d4", // B
  },
  "v1.34.10+k3s1": {
    x86: "e63a3511b2603fd1436a1ea8d228348a3b47334b45024801d41a8c0e2d22e8c4", // C
  },
  "v1.34.9+k3s1": {
    x86: "c782d6bb71eb2eb30f034aaddabb480294f9fdae5a7bca49ac5e3e0f66b96ea5", // C
  },
};

const ASSETS: Readonly<Record<Architecture, string>> = { x86: "k3s", arm: "k3s-arm64" };

/** Where the binary is downloaded. The plus sign must be escaped, or GitHub answers 404. */
export const k3sUrl = (version: string, architecture: Architecture): string =>
  `https://github.com/k3s-io/k3s/releases/download/${version.replaceAll("+", "%2B")}/${ASSETS[architecture]}`;
