import { createHash } from "node:crypto";
import type { HetznerServer } from "./hetzner-servers";

/** Label of a server that says which incarnation of its node it is. */
export const INCARNATION_LABEL = "incarnation";

/**
 * Which server of all that have borne this node's name. The engine remembers the value and replaces the server when it becomes
 * another one: so a server that is gone is made again by a plain `pulumi up`, which otherwise believes its state.
 */
export interface Incarnation {
  /** For the label; always known. */
  readonly value: string;
  /** For the engine; null asks for nothing, whatever was there before. (The SDK cannot send an output of undefined.) */
  readonly trigger: string | null;
  /** Whether the node's server is missing while others are there. */
  readonly gone: boolean;
}

export interface Whereabouts {
  readonly installation: string;
  readonly hostname: string;
  /** All servers of the installation, by name. */
  readonly servers: ReadonlyMap<string, Pick<HetznerServer, "labels">>;
  /** Whether any server of the project has the name, of this installation or not: labels can be lost. */
  readonly nameTaken: boolean;
  /** Whether the operator has said that every node may be made anew. */
  readonly consented: boolean;
  /** A word that was never used before. */
  readonly word: string;
}

export function incarnationOf({
  installation,
  hostname,
  servers,
  nameTaken,
  consented,
  word,
}: Whereabouts): Incarnation {
  const marked = (text: string): string => {
    const check = createHash("sha256").update(`${installation}/${hostname}/${text}`).digest("hex").slice(0, 8);
    return `${text}-${check}`;
  };
  const server = servers.get(hostname);
  if (server !== undefined) {
    const label = server.labels[INCARNATION_LABEL] ?? "";
    // Only a value of our own counts. A label that was edited by hand must not delete a living server.
    if (marked(label.split("-")[0] ?? "") === label) return { value: label, trigger: label, gone: false };
    return { value: marked(word), trigger: null, gone: false };
  }
  if (nameTaken) return { value: marked(word), trigger: null, gone: false };
  // The first creation; or all are lost, and then nothing is made again without a word (see consent.ts).
  if (servers.size === 0 && !consented) return { value: marked(FIRST), trigger: marked(FIRST), gone: false };
  return { value: marked(word), trigger: marked(word), gone: true };
}

const FIRST = "0";
