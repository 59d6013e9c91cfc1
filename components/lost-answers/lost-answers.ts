import * as pulumi from "@pulumi/pulumi";
import type { CloudApi } from "../cloud-api";
import { outputValue } from "../output-value";
import { ACCESS, ACCESS_APPLICATION } from "./access";
import { CERTIFICATES } from "./certificates";
import { DNS_RECORD, DNS_RECORDS, makeRoom, moveBack, type MovedRecord } from "./dns-records";
import { HETZNER } from "./hetzner";
import { type Clouds, type Finders, type Left, reasonToLeave, removeLeft } from "./left";
import { PAGES, PAGES_DOMAIN, PAGES_PROJECT } from "./pages";
import { RULESETS } from "./rulesets";
import { dropConnections, TUNNEL, TUNNELS } from "./tunnels";

export interface LostAnswersArgs {
  hetzner: pulumi.Input<CloudApi>;
  cloudflare: pulumi.Input<CloudApi>;
  /** The platform's mark. */
  installation: pulumi.Input<string>;
}

/** Options for resources whose create may leave something behind. Both belong together: see `deleteBeforeReplace` below. */
export interface LostAnswerOptions {
  /** Without it a replacement would be created beside its predecessor, and the hook could not tell the two apart. */
  deleteBeforeReplace: true;
  hooks: pulumi.ResourceHookBinding;
}

/** How often one resource's operation is tried again; the connection may be lost more than once. */
const RETRIES = 2;

const FINDERS: Finders = {
  ...HETZNER,
  ...DNS_RECORDS,
  ...TUNNELS,
  ...ACCESS,
  ...RULESETS,
  ...PAGES,
  ...CERTIFICATES,
};

/**
 * For these a taken name is a 409, which Cloudflare's provider takes for a collision that passes: it tries again for three minutes
 * before it tells. So what has the name is looked for beforehand, too.
 */
const TOLD_LATE: ReadonlySet<string> = new Set([TUNNEL, ACCESS_APPLICATION, PAGES_PROJECT, PAGES_DOMAIN]);

/**
 * Makes the options that every cloud resource with a unique name gets.
 *
 * When a create reaches the cloud but its answer is lost, the object exists and the state does not know it. Names are unique at
 * Hetzner, so the next `pulumi up` would be refused with uniqueness_error, for ever, until somebody cleans up by hand.
 *
 * So what is there is looked for after a failed create, removed, and the engine creates it again. That touches only what carries this
 * platform's mark, that nothing uses, and, for servers, that is younger than an hour: with a state that was restored from an old copy,
 * a living server would look just the same.
 */
export function lostAnswerOptions({ hetzner, cloudflare, installation }: LostAnswersArgs): LostAnswerOptions {
  const mark = pulumi.output(installation);
  const apis = pulumi.all([hetzner, cloudflare]);
  const clouds = async (): Promise<Clouds> => {
    const [hetznerApi, cloudflareApi] = await outputValue(apis);
    return { hetzner: hetznerApi, cloudflare: cloudflareApi };
  };

  const tries = new Map<string, number>();
  const mayTryAgain = (urn: string): boolean => {
    const count = (tries.get(urn) ?? 0) + 1;
    tries.set(urn, count);
    return count <= RETRIES;
  };

  const moved = new Map<string, readonly MovedRecord[]>();

  const mended = async (failure: pulumi.ErrorHookArgs): Promise<boolean> => {
    const { urn, type, newInputs, failedOperation } = failure;
    if (failedOperation === "delete" && type === TUNNEL)
      return mayTryAgain(urn) && dropConnections((await clouds()).cloudflare, failure);
    const find = FINDERS[type];
    if (failedOperation !== "create" || !find || !newInputs || !mayTryAgain(urn)) return false;
    const [all, mine] = await Promise.all([clouds(), outputValue(mark)]);
    return clearedUp(find(all, newInputs, mine), failure, mine);
  };

  const onError = new pulumi.ErrorHook("trivet-lost-answer", async (failure) => {
    const again = await mended(failure);
    if (!again) {
      await moveBack((await clouds()).cloudflare, moved.get(failure.urn) ?? []);
      moved.delete(failure.urn);
    }
    return again;
  });

  const beforeCreate = new pulumi.ResourceHook("trivet-taken-name", async ({ urn, type, newInputs }) => {
    const find = TOLD_LATE.has(type) ? FINDERS[type] : undefined;
    if (!newInputs || (type !== DNS_RECORD && !find)) return;
    const [all, mine] = await Promise.all([clouds(), outputValue(mark)]);
    if (find) await refuseTaken(find(all, newInputs, mine), type, mine);
    else moved.set(urn, await makeRoom(all.cloudflare, newInputs, mine));
  });
  return { deleteBeforeReplace: true, hooks: { beforeCreate: [beforeCreate], onError: [onError] } };
}

/** Whether a create that failed has a chance now. */
async function clearedUp(
  found: Promise<Left | undefined>,
  { type, errors }: pulumi.ErrorHookArgs,
  mine: string,
): Promise<boolean> {
  try {
    const left = await found;
    if (!left) return false;
    const reason = reasonToLeave(left, type, mine);
    if (reason !== undefined) {
      void pulumi.log.error(reason);
      return false;
    }
    await removeLeft(left);
    return true;
  } catch (error) {
    // The create's own error is the one that counts; the engine prints it.
    void pulumi.log.debug(`looking for what a lost answer left: ${String(error)} (after: ${errors[0]})`);
    return false;
  }
}

/** Throws, for people, where the name is another's; removes what is ours. */
async function refuseTaken(found: Promise<Left | undefined>, type: string, mine: string): Promise<void> {
  let left: Left | undefined;
  try {
    left = await found;
  } catch (error) {
    void pulumi.log.debug(`looking for what has the name already: ${String(error)}`);
  }
  if (!left) return;
  const reason = reasonToLeave(left, type, mine);
  if (reason !== undefined) throw new Error(reason);
  await removeLeft(left);
}
