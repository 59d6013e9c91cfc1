import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { makeClusterObjects } from "../../../components/cluster/cluster-objects";
import type { Platform } from "../../../model/platform";
import { only, type Registered, registered, secretValue } from "../../support/mocks";
import { HONEYDUE_SECRETS, honeyduePlatform } from "../../support/platform";

const SECRET = "kubernetes:core/v1:Secret";
const CONFIG_MAP = "kubernetes:core/v1:ConfigMap";
const ROLE = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole";
const BINDING = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding";

const make = (platform: Platform): Promise<Registered[]> =>
  registered(() => {
    const parent = new pulumi.ComponentResource("test:test:Parent", "parent");
    const provider = new kubernetes.Provider("provider", { kubeconfig: "none" }, { parent });
    const configSecrets = Object.fromEntries(HONEYDUE_SECRETS.map((name) => [name, pulumi.secret(`value of ${name}`)]));
    makeClusterObjects("honeydue", { platform, configSecrets }, { parent, provider });
    return parent;
  });

describe("the objects of the cluster itself", () => {
  const platform = honeyduePlatform();
  const snapshots = platform.cluster.snapshots!;
  let all: Registered[];
  beforeAll(async () => {
    all = await make(platform);
  });

  test("K3s finds the bucket in a Secret of the type it looks for, and keeps as many snapshots there as are asked for", () => {
    const { metadata, type, stringData } = only(all, SECRET, "honeydue-etcd-snapshots").inputs;
    expect([metadata, type]).toEqual([
      { name: "trivet-etcd-snapshots", namespace: "kube-system" },
      "etcd.k3s.cattle.io/s3-config-secret",
    ]);
    expect(secretValue(stringData)).toEqual({
      "etcd-s3-endpoint": snapshots.endpoint,
      "etcd-s3-region": snapshots.region,
      "etcd-s3-bucket": snapshots.bucket,
      "etcd-s3-folder": snapshots.folder,
      "etcd-s3-access-key": `value of ${snapshots.accessKeyId}`,
      "etcd-s3-secret-key": `value of ${snapshots.secretAccessKey}`,
      "etcd-s3-insecure": "false",
      "etcd-s3-retention": "144", // 48 of each of three servers, which K3s counts together
    });
  });

  test("beside each snapshot K3s writes which version made it", () => {
    expect(only(all, CONFIG_MAP, "honeydue-etcd-snapshot-metadata").inputs).toMatchObject({
      metadata: { name: "k3s-etcd-snapshot-extra-metadata", namespace: "kube-system" },
      data: { k3s: platform.cluster.k3s.version, platform: "honeydue", generation: "1" },
    });
  });

  test("CI may read, by name and without wildcards, and neither Secrets nor what leads to their content", () => {
    const { rules } = only(all, ROLE, "honeydue-ci").inputs as {
      rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
    };
    for (const { apiGroups, resources, verbs } of rules) {
      expect(verbs).toEqual(["get", "list", "watch"]);
      expect(apiGroups).not.toContain("*");
      for (const resource of resources) expect(resource).not.toMatch(/\*|secrets|\/|helm/);
    }
    expect(only(all, BINDING, "honeydue-ci").inputs["subjects"]).toEqual([
      { apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "trivet:ci" },
    ]);
  });

  test("without a bucket there is nothing to tell K3s", async () => {
    const none = await make({ ...platform, cluster: { ...platform.cluster, snapshots: undefined } });
    expect(none.map(({ type }) => type)).not.toContain(SECRET);
  });
});
