import { gunzipSync } from "node:zlib";
import { parse } from "yaml";
import type { NodeIdentity, userData } from "../../../components/cluster/user-data";
import type { ClusterNode } from "../../../model/platform";

const ADDRESSES = ["203.0.113.11", "203.0.113.12", "203.0.113.13"];

/** Of the first server, or of one in its place. */
export const identityOf = (node: ClusterNode): NodeIdentity => ({
  node,
  publicAddress: ADDRESSES[0]!,
  apiAddresses: ADDRESSES,
});

const pair = { certificatePem: "certificate", privateKeyPem: "key" };

/** What every server's user-data needs; nothing reads what it is. */
export const SECRETS: Parameters<typeof userData>[2] = {
  authorities: { server: pair, client: pair, requestHeader: pair, etcdPeer: pair, etcdServer: pair },
  serviceAccountKeyPem: "key",
  serverToken: "K10::server:password",
  agentToken: "password",
  agentStatus: pair,
};

export interface CloudConfig {
  readonly runcmd: readonly (readonly string[])[];
  readonly write_files: readonly { path: string; permissions: string; encoding?: string; content: string }[];
}

export const cloudConfigIn = (text: string): CloudConfig => parse(text) as CloudConfig;

/** A file that a server's user-data writes, unpacked; undefined where it writes none of this path. */
export function fileIn({ write_files: files }: CloudConfig, path: string) {
  const found = files.find((file) => file.path === path);
  if (found === undefined) return undefined;
  const { permissions, encoding, content } = found;
  return {
    permissions,
    content: encoding === undefined ? content : gunzipSync(Buffer.from(content, "base64")).toString(),
  };
}
