import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Platform, SecretKeyName } from "../../model/platform";
import { grantCiAccess } from "./ci-access";
import { SNAPSHOT_SECRET, snapshotSecretData } from "./snapshots";

const SYSTEM_NAMESPACE = "kube-system";

export interface ClusterObjectsArgs {
  platform: Platform;
  /** Secret values of the stack's configuration, by name. */
  configSecrets: Readonly<Record<SecretKeyName, pulumi.Input<string>>>;
}

/**
 * Kubernetes objects that belong to the cluster itself: who may read it, where its snapshots go and what is written beside
 * them. They are no part of the nodes' definition, so new keys of the bucket touch no node.
 */
export function makeClusterObjects(
  name: string,
  { platform, configSecrets }: ClusterObjectsArgs,
  opts: pulumi.CustomResourceOptions,
): void {
  grantCiAccess(name, opts);
  const { snapshots, servers, k3s, generation } = platform.cluster;
  if (snapshots === undefined) return;
  const keys = pulumi
    .all([configSecrets[snapshots.accessKeyId], configSecrets[snapshots.secretAccessKey]])
    .apply(([accessKeyId, secretAccessKey]) => {
      if (accessKeyId === undefined || secretAccessKey === undefined)
        throw new pulumi.RunError(
          `The snapshots need the config secrets "${snapshots.accessKeyId}" and "${snapshots.secretAccessKey}"`,
        );
      return { accessKeyId, secretAccessKey };
    });
  new kubernetes.core.v1.Secret(
    `${name}-etcd-snapshots`,
    {
      metadata: { name: SNAPSHOT_SECRET.name, namespace: SYSTEM_NAMESPACE },
      type: SNAPSHOT_SECRET.type,
      stringData: pulumi.secret(keys.apply((known) => ({ ...snapshotSecretData(snapshots, servers.length, known) }))),
    },
    opts,
  );
  // K3s writes this map beside each snapshot. It records no version itself, and none older than the snapshot can restore it.
  new kubernetes.core.v1.ConfigMap(
    `${name}-etcd-snapshot-metadata`,
    {
      metadata: { name: "k3s-etcd-snapshot-extra-metadata", namespace: SYSTEM_NAMESPACE },
      data: { k3s: k3s.version, platform: platform.name, generation: String(generation) },
    },
    opts,
  );
}
