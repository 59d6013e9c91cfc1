import { Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import type { Platform, Store } from "../../../model/platform";
import { amountOf } from "../../../model/units";
import { configDigest, containerResources, containerSecurity, onServers, podBasics } from "../../pods/charts/hardening";
import { KEEP_ANNOTATION, labelsOf, selectorOf } from "../../pods/charts/labels";

/** Of the official image (Debian and Alpine variants differ in the group). */
const REDIS_USER = 999;
const REDIS_GROUP = 1000;

const PASSWORD_FOLDER = "/run/secrets/redis";
const CONFIG_FOLDER = "/etc/redis";
const DATA_FOLDER = "/data";

/** The provisioner that K3s brings. Its volumes are folders of one server: the pod can only run there. */
const STORAGE_CLASS = "local-path";

/** One Redis: a cache in a Deployment, or, with `keep`, a StatefulSet with a volume. */
export class RedisChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform, store: Store) {
    super(scope, id, { disableResourceNameHashes: true });
    const { objectName: name, port } = store;
    const { namespace } = platform;
    const labels = labelsOf(platform.name, name, "store");
    const selector = selectorOf(name);
    const metadata = { name, namespace, labels };
    const config = { "redis.conf": redisConfig(store) };

    new k8s.KubeServiceAccount(this, "account", { metadata, automountServiceAccountToken: false });
    new k8s.KubeConfigMap(this, "config", { metadata, data: config });

    const template = { metadata: { labels, annotations: configDigest(config) }, spec: podSpec(platform, store) };
    if (store.volume === undefined)
      new k8s.KubeDeployment(this, "pods", {
        metadata,
        spec: {
          replicas: 1,
          selector: { matchLabels: selector },
          // Never two at once: clients would fill one and read the other.
          strategy: { type: "Recreate" },
          revisionHistoryLimit: 5,
          template,
        },
      });
    else
      new k8s.KubeStatefulSet(this, "pods", {
        metadata,
        spec: {
          replicas: 1,
          serviceName: name,
          selector: { matchLabels: selector },
          updateStrategy: { type: "RollingUpdate" },
          revisionHistoryLimit: 5,
          // The volume outlives the StatefulSet: to delete the data is a step of its own.
          persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Retain" },
          volumeClaimTemplates: [
            {
              // The annotation keeps a roll from making the node anew whose disk this is.
              metadata: { name: "data", labels, annotations: { [KEEP_ANNOTATION]: "true" } },
              spec: {
                accessModes: ["ReadWriteOnce"],
                storageClassName: STORAGE_CLASS,
                resources: { requests: { storage: k8s.Quantity.fromString(store.volume) } },
              },
            },
          ],
          template,
        },
      });

    new k8s.KubeService(this, "service", {
      metadata,
      spec: {
        type: "ClusterIP",
        selector,
        ports: [{ name: "redis", port, targetPort: k8s.IntOrString.fromString("redis"), protocol: "TCP" }],
      },
    });
  }
}

/** Redis reads "mb" as 1,048,576 bytes. */
const redisConfig = ({ port, maxMemory, eviction, keep }: Store): string =>
  [
    `include ${PASSWORD_FOLDER}/auth.conf`,
    "bind * -::*",
    `port ${port}`,
    `dir ${DATA_FOLDER}`,
    `maxmemory ${amountOf(maxMemory)}mb`,
    `maxmemory-policy ${eviction}`,
    'save ""',
    ...(keep
      ? ["appendonly yes", "appendfsync everysec", "aof-use-rdb-preamble yes", "auto-aof-rewrite-min-size 64mb"]
      : ["appendonly no"]),
    // A peer that vanished without a word is noticed within a minute and a half, not in two hours.
    "tcp-keepalive 30",
    "shutdown-timeout 10",
    "",
  ].join("\n");

/**
 * Asks as a client does, with the password from its file. `redis-cli` ends with 0 whatever the answer is; only PONG counts:
 * while the append-only file is read the answer is LOADING.
 */
const PING = `REDISCLI_AUTH="$(cat ${PASSWORD_FOLDER}/password)" redis-cli -h 127.0.0.1 ping | grep -q PONG`;

const podSpec = (platform: Platform, store: Store): k8s.PodSpec => {
  const { objectName, port, resources, passwordSecretName } = store;
  return {
    ...podBasics(platform, {
      image: store.image,
      user: REDIS_USER,
      group: REDIS_GROUP,
      serviceAccountName: objectName,
      priorityClassName: "platform-store",
      graceSeconds: 30,
    }),
    // Kept data live and die with their node's disk, and an agent goes when its pool shrinks.
    ...(store.keep ? onServers : {}),
    containers: [
      {
        name: "redis",
        image: store.image.reference,
        imagePullPolicy: "IfNotPresent",
        command: ["redis-server", `${CONFIG_FOLDER}/redis.conf`],
        ports: [{ name: "redis", containerPort: port, protocol: "TCP" }],
        resources: containerResources(resources),
        securityContext: containerSecurity,
        // Reading back an append-only file of some hundred MiB takes seconds; two minutes are for a slow disk.
        startupProbe: {
          exec: { command: ["sh", "-c", PING] },
          periodSeconds: 2,
          timeoutSeconds: 2,
          failureThreshold: 60,
        },
        readinessProbe: {
          exec: { command: ["sh", "-c", PING] },
          periodSeconds: 5,
          timeoutSeconds: 2,
          failureThreshold: 3,
        },
        // Only the socket: a long command is no reason to throw a cache or a queue away.
        livenessProbe: {
          tcpSocket: { port: k8s.IntOrString.fromString("redis") },
          periodSeconds: 10,
          timeoutSeconds: 3,
          failureThreshold: 6,
        },
        volumeMounts: [
          { name: "config", mountPath: CONFIG_FOLDER, readOnly: true },
          { name: "password", mountPath: PASSWORD_FOLDER, readOnly: true },
          { name: "data", mountPath: DATA_FOLDER },
        ],
      },
    ],
    volumes: [
      { name: "config", configMap: { name: objectName, defaultMode: 0o440 } },
      { name: "password", secret: { secretName: passwordSecretName, defaultMode: 0o440 } },
      ...(store.volume === undefined
        ? [{ name: "data", emptyDir: { sizeLimit: k8s.Quantity.fromString("64Mi") } }]
        : []),
    ],
  };
};
