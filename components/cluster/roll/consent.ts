import type { Platform } from "../../../model/platform";
import { restoreProblems } from "../../../model/restore";
import type { HetznerServer, HetznerServers } from "./hetzner-servers";

/** What the operator said in the environment of this one run. */
export interface Consent {
  /** Generation that everything may be made anew for. */
  readonly rebuild: string | undefined;
  /** Snapshot that the cluster may be put back to. */
  readonly restore: string | undefined;
}

export const readConsent = (environment: NodeJS.ProcessEnv = process.env): Consent => ({
  rebuild: environment["TRIVET_REBUILD"],
  restore: environment["TRIVET_RESTORE"],
});

/** A platform without a single server whose addresses are older than this has lost them; a first creation does not take that long. */
const LOST_AFTER_MILLISECONDS = 60 * 60 * 1000;

type Cluster = Pick<Platform["cluster"], "generation" | "restore">;

/**
 * Throws when this run would make every node anew (another generation, another restore) and the operator did not say so for
 * this very run. Asked before anything is registered that depends on it: a run that is refused has changed nothing.
 */
export async function checkConsent(
  cluster: Cluster,
  consent: Consent,
  cloud: HetznerServers,
  installation: string,
): Promise<void> {
  const servers = [...(await cloud.all(installation)).values()];
  if (servers.length === 0) {
    const since = await cloud.oldestAddress(installation);
    if (since === undefined || Date.now() - since < LOST_AFTER_MILLISECONDS || consents(cluster, consent)) return;
    throw new Error(
      "every server of this platform is gone, and with them the cluster's data; a plain `pulumi up` would begin an empty cluster and believe " +
        "that everything is in it. To do: `trivet restore <snapshot>`, or `trivet rebuild`. Where no cluster has ever been: " +
        `TRIVET_REBUILD=${cluster.generation} pulumi up. Nothing was changed`,
    );
  }
  const problem = missingConsent(cluster, consent, servers);
  if (problem !== undefined) throw new Error(`${problem}. Nothing was changed`);
}

const consents = ({ generation, restore }: Cluster, consent: Consent): boolean =>
  consent.rebuild === String(generation) || (restore !== undefined && consent.restore === restore);

/** Why this run may not go on, judged by what the servers say of themselves. */
export function missingConsent(
  { generation, restore }: Cluster,
  consent: Consent,
  servers: readonly Pick<HetznerServer, "labels">[],
): string | undefined {
  const generations = servers.flatMap(({ labels }) =>
    labels["generation"] === undefined ? [] : [labels["generation"]],
  );
  const newest = Math.max(0, ...generations.map(Number));
  if (newest > generation)
    return `the cluster is of generation ${newest}, and the settings say ${generation}; a generation never comes back. Set trivet:generation to ${newest}, or to ${newest + 1} and run \`trivet rebuild\``;
  const oldest = generations.length === 0 ? undefined : Math.min(...generations.map(Number));
  const [unreadable] = restoreProblems({ restore, generation }, oldest);
  if (unreadable !== undefined)
    return `${unreadable.code}: restore ${restore}: ${unreadable.reason}. To do: ${unreadable.action}`;
  if (generations.some((one) => one !== String(generation)) && consent.rebuild !== String(generation))
    return (
      `generation ${oldest} -> ${generation} makes every node anew, at once, with new authorities, and everything in the cluster is lost ` +
      `and made again. When that is meant: \`trivet rebuild\` (TRIVET_REBUILD=${generation} PULUMI_K8S_DELETE_UNREACHABLE=true pulumi up); otherwise take trivet:generation back`
    );
  const otherwise = servers.some(({ labels }) => labels["role"] !== "agent" && labels["restore"] !== restore);
  if (restore !== undefined && otherwise && consent.restore !== restore)
    return (
      `restore ${restore} puts the whole cluster back to that snapshot; what was written since is lost. When that is meant: ` +
      `\`trivet restore ${restore}\` (TRIVET_RESTORE=${restore} pulumi up --refresh); otherwise take trivet:restore away`
    );
  return undefined;
}
