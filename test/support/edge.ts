import * as pulumi from "@pulumi/pulumi";
import { cloudOptions } from "../../components/cloud-options";
import { Edge, type EdgeArgs } from "../../components/edge/edge";
import type { Platform } from "../../model/platform";

const NODE_ADDRESSES = { a: "203.0.113.11", b: "203.0.113.12", c: "203.0.113.13" };

/** The edge with its names, as a test's program builds it: without hooks, unless the test is about them. */
export function buildEdge(platform: Platform, args: Partial<Omit<EdgeArgs, "platform">> = {}): Edge {
  const edge = new Edge(platform.name, {
    platform,
    addresses: NODE_ADDRESSES,
    installation: "00112233445566ff",
    cloudOptions: cloudOptions({ deleteBeforeReplace: true, hooks: {} }),
    revokeTwins: new pulumi.ResourceHook("revoke", () => undefined),
    removeAccessTwins: new pulumi.ResourceHook("remove-twins", () => undefined),
    cloudflare: { get: async () => undefined, send: async () => undefined },
    handedBack: false,
    ...args,
  });
  edge.leadNames([]);
  return edge;
}
