import { TLS_DIRECTORY } from "../k3s/authorities";
import { issueLeaf, type Leaf, type LeafRequest } from "../k3s/leaf-certificates";
import type { MachineDisk } from "../machine-disk";
import type { ServerDefinition } from "../server-definition";

export const CREDENTIALS = "/var/lib/rancher/k3s/server/cred";

/** K3s' own client certificates: file name, and the user that each makes. */
export const CLIENTS = {
  admin: { commonName: "system:admin", organizations: ["system:masters"] },
  supervisor: { commonName: "system:k3s-supervisor", organizations: ["system:masters"] },
  controller: { commonName: "system:kube-controller-manager" },
  scheduler: { commonName: "system:kube-scheduler" },
  "kube-apiserver": { commonName: "system:apiserver", organizations: ["system:masters"] },
} as const satisfies Record<string, Pick<LeafRequest, "commonName" | "organizations">>;
export type Client = keyof typeof CLIENTS;

/** Issues one of K3s' client certificates and writes it, its key and a kubeconfig for this address of the API. */
export async function writeClient(
  client: Client,
  definition: ServerDefinition,
  disk: MachineDisk,
  url: string,
): Promise<Leaf> {
  const leaf = await issueLeaf(definition.authorities.byName["client-ca"], { ...CLIENTS[client], usage: "client" });
  const certificate = await disk.write(`${TLS_DIRECTORY}/client-${client}.crt`, leaf.certificatePem);
  const key = await disk.write(`${TLS_DIRECTORY}/client-${client}.key`, leaf.keyPem);
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      { name: "local", cluster: { server: url, "certificate-authority": disk.at(`${TLS_DIRECTORY}/server-ca.crt`) } },
    ],
    users: [{ name: "user", user: { "client-certificate": certificate, "client-key": key } }],
    contexts: [{ name: "Default", context: { cluster: "local", user: "user" } }],
    "current-context": "Default",
  };
  await disk.write(`${CREDENTIALS}/${client}.kubeconfig`, JSON.stringify(kubeconfig));
  return leaf;
}
