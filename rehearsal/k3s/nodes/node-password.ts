import { createHash } from "node:crypto";
import { type KubernetesApi, KubernetesApiError } from "../kubernetes-api";

export const NODE_PASSWORD_FILE = "/etc/rancher/node/password";
/** What K3s answers to a node whose name somebody else has. */
export const NODE_PASSWORD_REJECTED =
  "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry, " +
  "try enabling a unique node name with the --with-node-id flag";

const secretPath = (nodeName: string): string => `/api/v1/namespaces/kube-system/secrets/${nodeName}.node-password.k3s`;

/**
 * A node proves with a password from its own disk that it is the one that registered under this name. A rebuilt server has a new
 * password, so its old Node must be deleted first; K3s then deletes the Secret. Returns whether this password is accepted.
 */
export async function acceptNodePassword(api: KubernetesApi, nodeName: string, password: string): Promise<boolean> {
  const hash = createHash("sha256").update(password).digest("base64");
  const secret = await api.find(secretPath(nodeName));
  const known = (secret?.["data"] as { hash?: string } | undefined)?.hash;
  if (known === Buffer.from(hash).toString("base64")) return true;
  if (known !== undefined && (await api.find(`/api/v1/nodes/${nodeName}`))) return false;
  if (secret) await api.merge(secretPath(nodeName), { stringData: { hash } });
  else
    await api.call("POST", "/api/v1/namespaces/kube-system/secrets", {
      body: {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: `${nodeName}.node-password.k3s`, namespace: "kube-system" },
        stringData: { hash },
      },
    });
  return true;
}

export async function deleteNodePassword(api: KubernetesApi, nodeName: string): Promise<void> {
  try {
    await api.call("DELETE", secretPath(nodeName));
  } catch (error) {
    if (!(error instanceof KubernetesApiError && error.status === 404)) throw error;
  }
}
