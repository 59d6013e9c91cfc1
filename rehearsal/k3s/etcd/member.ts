import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { ControlPlane, MemberStart } from "../control-plane/control-plane";
import { ETCD_DIRECTORY } from "../definition";
import type { ServerFiles } from "../host";
import { EtcdApi, EtcdError } from "./etcd-api";

const NAME_FILE = `${ETCD_DIRECTORY}/name`;
/** K3s asks every five seconds; a rehearsal has no time for that. */
const RETRY_MILLISECONDS = 250;
/** After that K3s gives up, and the boot script looks for another server to join through. */
const NO_ANSWER_MILLISECONDS = 30_000;

/** Whether this server's etcd has data: then it starts with it, and neither `cluster-init` nor `server` counts. */
export async function hasEtcdData(files: ServerFiles): Promise<boolean> {
  const log = await readdir(files.at(`${ETCD_DIRECTORY}/member/wal`)).catch(() => []);
  return log.length > 0;
}

/** The name of this server's member, kept on its disk: `<node>-<8 hex>`. */
export async function memberName(files: ServerFiles, nodeName: string): Promise<string> {
  const known = await files.read(NAME_FILE);
  if (known !== undefined) return known.trim();
  const name = `${nodeName}-${randomBytes(4).toString("hex")}`;
  await files.write(NAME_FILE, name);
  return name;
}

/** `<node>-<8 hex>` without its last part. */
const nodeOfMember = (name: string): string => name.replace(/-[^-]*$/, "");

export interface Join {
  controlPlane: ControlPlane;
  files: ServerFiles;
  /** A member of the cluster to join. */
  through: EtcdApi;
  nodeName: string;
  signal: AbortSignal;
  say(line: string): void;
}

/**
 * Adds this server as a learner and returns how its etcd has to start. One learner at a time, and none beside a member that is not
 * healthy: etcd itself refuses, and it is tried again. A node name that is still a member's is refused for good.
 */
export async function joinCluster({ controlPlane, files, through, nodeName, signal, say }: Join): Promise<MemberStart> {
  let told = "";
  let answeredAt = Date.now();
  for (;;) {
    signal.throwIfAborted();
    try {
      return await tryToJoin(controlPlane, files, through, nodeName, say);
    } catch (error) {
      if (error instanceof DuplicateName) throw error;
      const answered = error instanceof EtcdError;
      if (answered && !error.mayPass) throw error;
      if (answered) answeredAt = Date.now();
      const why = answered
        ? `Waiting for other members to finish joining etcd cluster: ${error.message}`
        : "Waiting to retrieve etcd cluster member list";
      if (why !== told) say(`k3s: ${why}`);
      told = why;
      if (Date.now() - answeredAt > NO_ANSWER_MILLISECONDS)
        throw new Error(`etcd at ${through.url} does not answer: ${(error as Error).message}`, { cause: error });
    }
    await delay(RETRY_MILLISECONDS, undefined, { signal });
  }
}

class DuplicateName extends Error {}

async function tryToJoin(
  controlPlane: ControlPlane,
  files: ServerFiles,
  through: EtcdApi,
  nodeName: string,
  say: (line: string) => void,
): Promise<MemberStart> {
  const members = await through.members();
  const name = await memberName(files, nodeName);
  if (members.some((member) => member.name !== name && nodeOfMember(member.name) === nodeName)) {
    await files.remove(NAME_FILE);
    throw new DuplicateName("duplicate node name found, please use a unique name for this node");
  }
  const { peerUrl } = controlPlane;
  // A member that was added and never started has no name yet; with our address it is us, before a power cut.
  const isMember = members.some((member) =>
    member.name === "" ? member.peerUrls.includes(peerUrl) : member.name === name,
  );
  if (!isMember) {
    await through.addLearner(peerUrl);
    say(`k3s: Adding member ${name}=${peerUrl} to etcd cluster of ${members.length}`);
  }
  const others = members.filter((member) => member.name !== "" && member.name !== name);
  return {
    name,
    initialCluster: [...others.map((member) => `${member.name}=${member.peerUrls[0]}`), `${name}=${peerUrl}`].join(","),
    initialClusterState: "existing",
  };
}
