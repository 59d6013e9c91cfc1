import { config, type PlatformDefinition, secret } from "../../model/definition";
import honeydue from "../../stacks/honeydue";

/** honeyDue with everything a cluster can have: servers in two places, two pools, kernel settings, snapshots, registries. */
export const pooled: PlatformDefinition = {
  ...honeydue,
  cluster: {
    ...honeydue.cluster,
    locations: ["nbg1", "fsn1", "hel1"],
    pools: {
      general: { count: 2, serverType: "cax21", labels: { disk: "ssd", "node.kubernetes.io/fast": "yes" } },
      batch: {
        count: 12,
        serverType: "cx43",
        location: "fsn1",
        taints: [
          { key: "only", value: "batch", effect: "NoSchedule" },
          { key: "slow", effect: "PreferNoSchedule" },
        ],
      },
    },
    kernel: { "net/core/somaxconn": 4096, "vm.swappiness": "10" },
    snapshots: {
      endpoint: config("objectsHost"),
      bucket: "honeydue-etcd",
      folder: "etcd",
      schedule: "*/30 2-4 * * mon-fri",
      keep: 12,
      accessKeyId: secret("snapshotsKeyId"),
      secretAccessKey: secret("snapshotsKey"),
    },
    registries: {
      mirrors: {
        "docker.io": ["https://mirror.example/v2", "https://second.example:5000"],
        "*": ["https://all.example"],
      },
      credentials: { "mirror.example": { username: config("registryUsername"), password: secret("registryPassword") } },
    },
  },
  services: { ...honeydue.services, worker: { ...honeydue.services["worker"]!, pool: "batch" } },
};
