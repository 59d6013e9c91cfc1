import { createHash } from "node:crypto";
import type { Problem } from "./boot-failure";

/**
 * Hash of the cluster's authority as it stands in a full token: of one certificate K3s hashes the PEM file's bytes, of a chain
 * the DER form of its root (the last one).
 */
export function authorityHash(serverCaPem: string, chain: readonly { raw: Buffer }[]): string {
  const hash = createHash("sha256");
  return (chain.length > 1 ? hash.update(chain.at(-1)!.raw) : hash.update(serverCaPem)).digest("hex");
}

/** Checks the server token without ever repeating it. */
export function checkToken(token: string | undefined, expectedHash: string | undefined, where: string): Problem[] {
  const problem = (what: string): Problem[] => [{ where, what }];
  if (token === undefined || token === "")
    return problem("is missing; K3s would make one of its own, and no other server could join");
  if (!token.startsWith("K10"))
    return problem(
      "must be in the full form K10<hash>::server:<password>; a bare password trusts whatever answers first when a server joins",
    );
  const found = /^K10([0-9a-f]{64})::([^:]+):(.+)$/.exec(token);
  if (!found) return problem("failed to normalize server token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD>");
  if (found[2] !== "server") return problem(`is a token of user "${found[2]}"; a server needs "server"`);
  if (found[3]!.length < 16)
    return problem("has a password of less than 16 characters; the token is cluster admin, make it long");
  if (expectedHash !== undefined && found[1] !== expectedHash)
    return problem(
      "its hash does not match server-ca.crt: token CA hash does not match the Cluster CA certificate hash. " +
        "(One certificate: SHA-256 of the PEM file; a chain: of the root's DER form.)",
    );
  return [];
}

/** The same for an agent: `K10<hash>::node:<password>`, or the bare password. */
export function checkAgentToken(token: string | undefined, expectedHash: string | undefined, where: string): Problem[] {
  const problem = (what: string): Problem[] => [{ where, what }];
  if (token === undefined || token === "") return problem("is missing; an agent cannot join without one");
  const found = /^K10([0-9a-f]{64})::([^:]+):(.+)$/.exec(token);
  if (!found) return token.startsWith("K10") ? problem("must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD>") : [];
  if (found[2] === "server") return problem("is the servers' token, which is cluster admin; give agents their own");
  if (expectedHash !== undefined && found[1] !== expectedHash)
    return problem(
      "its hash does not match server-ca.crt: token CA hash does not match the Cluster CA certificate hash",
    );
  return [];
}

/** The password in `K10<hash>::<user>:<password>`, or the bare password itself. */
export const passwordOf = (token: string): string => token.slice(token.lastIndexOf(":") + 1);
