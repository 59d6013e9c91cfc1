import type { K3sConfig } from "../config";
import type { KubernetesApi } from "../kubernetes-api";

/** Where snapshots are uploaded to. */
export interface S3Settings {
  /** `https://host[:port]`, or http where `etcd-s3-insecure` says so. */
  endpoint: string;
  region: string;
  bucket: string;
  folder: string;
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string | undefined;
  isPathStyle: boolean;
  insecure: boolean;
  /** Scheduled snapshots to keep; 0 keeps all. */
  retention: number;
}

/** Type of the Secret that K3s takes. */
const SECRET_TYPE = "etcd.k3s.cattle.io/s3-config-secret";
const PREFIX = "etcd-s3-";
/** Options that say how K3s uses S3, not where it is: they may stand beside the name of a Secret. */
const BESIDE_SECRET = ["etcd-s3-config-secret", "etcd-s3-retention", "etcd-s3-timeout"];
const NOT_SUPPORTED = ["etcd-s3-endpoint-ca", "etcd-s3-proxy", "etcd-s3-skip-ssl-verify"];

/**
 * The settings of the configuration, or of the Secret that it names: K3s reads that one only where no other `etcd-s3-...` option is set.
 * Undefined without `etcd-s3`. Throws where something is missing; no value is repeated.
 */
export async function s3Settings(
  config: K3sConfig,
  api: Pick<KubernetesApi, "find"> | undefined,
): Promise<S3Settings | undefined> {
  if (!config.bool("etcd-s3")) return undefined;
  const own = config.options().filter((name) => name.startsWith(PREFIX) && !BESIDE_SECRET.includes(name));
  const secretName = config.string("etcd-s3-config-secret");
  if (own.length > 0 || secretName === undefined) return settingsOf((option) => config.string(option));
  if (!api) throw new Error(`S3 settings in Secret ${secretName} cannot be read while the cluster is down`);
  const secret = await api.find(`/api/v1/namespaces/kube-system/secrets/${secretName}`);
  if (!secret) throw new Error(`failed to get S3 config from Secret kube-system/${secretName}: not found`);
  if (secret["type"] !== SECRET_TYPE)
    throw new Error(`Secret kube-system/${secretName} has type ${String(secret["type"])}; K3s wants ${SECRET_TYPE}`);
  const data = (secret["data"] ?? {}) as Record<string, string>;
  return settingsOf((option) => {
    const value = data[option];
    return value === undefined ? undefined : Buffer.from(value, "base64").toString("utf8");
  });
}

function settingsOf(read: (option: string) => string | undefined): S3Settings {
  for (const option of NOT_SUPPORTED)
    if ((read(option) ?? "false") !== "false") throw new Error(`${option} is not supported by the K3s stand-in`);
  const insecure = read("etcd-s3-insecure") === "true";
  const required = (option: string): string => {
    const value = read(option);
    if (value === undefined || value === "") throw new Error(`s3: ${option} is not set`);
    return value;
  };
  return {
    endpoint: `${insecure ? "http" : "https"}://${read("etcd-s3-endpoint") ?? "s3.amazonaws.com"}`,
    region: read("etcd-s3-region") ?? "us-east-1",
    bucket: required("etcd-s3-bucket"),
    folder: (read("etcd-s3-folder") ?? "").replace(/^\/+|\/+$/g, ""),
    accessKeyId: required("etcd-s3-access-key"),
    secretAccessKey: required("etcd-s3-secret-key"),
    sessionToken: read("etcd-s3-session-token"),
    isPathStyle: read("etcd-s3-bucket-lookup-type") !== "dns",
    insecure,
    retention: Number(read("etcd-s3-retention") ?? "5"),
  };
}
