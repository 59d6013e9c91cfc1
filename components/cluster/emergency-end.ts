import { setTimeout as delay } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { isOpenToEverybody } from "../../model/doors";
import type { Platform } from "../../model/platform";
import { timeLimits } from "./roll/limits";

/**
 * The end of an emergency. Names lead to Cloudflare again (the firewall depends on them), but resolvers go on leading visitors to the
 * servers for as long as they remember. Until then the firewall's update waits, and with it all that comes after: Traefik, which
 * will want to see Cloudflare's certificate. So a plain `pulumi up` loses nobody. One that is interrupted waits again.
 */
export const whenForgotten = (name: string, { edge }: Platform, component: pulumi.Resource): pulumi.ResourceHook =>
  new pulumi.ResourceHook(
    `trivet-forgotten-${name}`,
    (update) =>
      untilForgotten(update, {
        ttlSeconds: edge.direct.recordTtlSeconds,
        isPreview: pulumi.runtime.isDryRun(),
        say: (line) => void pulumi.log.info(line, component),
      }),
    { onDryRun: true },
  );

export interface ForgottenArgs {
  /** Of the records that led to the servers. */
  readonly ttlSeconds: number;
  /** It only says what will be. */
  readonly isPreview: boolean;
  readonly say: (line: string) => void;
}

export async function untilForgotten(
  { oldInputs, newInputs }: Pick<pulumi.ResourceHookArgs, "oldInputs" | "newInputs">,
  { ttlSeconds, isPreview, say }: ForgottenArgs,
): Promise<void> {
  if (!isOpenToEverybody(oldInputs) || isOpenToEverybody(newInputs)) return;
  const { forget } = timeLimits();
  say(
    `the servers are shut ${forget} s after the last name leads to Cloudflare: resolvers remember them for ${ttlSeconds} s`,
  );
  if (!isPreview) await delay(forget * 1000);
}
