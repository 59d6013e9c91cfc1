import * as pulumi from "@pulumi/pulumi";
import { cloudApi } from "../../../components/cloud-api";
import { cloudOptions } from "../../../components/cloud-options";
import { Cluster, type ClusterArgs } from "../../../components/cluster/cluster";
import { clusterConfigSecrets } from "../../../components/cluster/user-data";
import type { Platform } from "../../../model/platform";

/** The cluster as a test's program builds it: without hooks of other parts, unless the test is about them, and a Hetzner that nobody reaches. */
export const buildCluster = (platform: Platform, args: Partial<Omit<ClusterArgs, "platform">> = {}): Cluster =>
  new Cluster(platform.name, {
    platform,
    installation: pulumi.output("00112233445566ff"),
    cloudOptions: cloudOptions({ deleteBeforeReplace: true, hooks: {} }),
    hetzner: cloudApi({ baseUrl: "http://127.0.0.1:1", token: "unused" }),
    configSecrets: Object.fromEntries(
      clusterConfigSecrets(platform).map((name) => [name, pulumi.secret(`value of ${name}`)]),
    ),
    ...args,
  });

/** Options with which a lost answer is cleared up, as far as a test can see that they were handed on. */
export const withLostAnswers = (): ClusterArgs["cloudOptions"] =>
  cloudOptions({
    deleteBeforeReplace: true,
    hooks: { onError: [new pulumi.ErrorHook("lost-answer", () => false)] },
  });
