import { TLS_DIRECTORY } from "../authorities";
import { issueLeaf, type Leaf, type LeafRequest } from "../leaf-certificates";
import type { ServerDefinition } from "../definition";
import type { ServerFiles } from "../host";

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
  files: ServerFiles,
  url: string,
): Promise<Leaf> {
  const leaf = await issueLeaf(definition.authorities.byName["client-ca"], { ...CLIENTS[client], usage: "client" });
  const certificate = await files.write(`${TLS_DIRECTORY}/client-${client}.crt`, leaf.certificatePem);
  const key = await files.write(`${TLS_DIRECTORY}/client-${client}.key`, leaf.keyPem);
  await writeKubeconfig(`${CREDENTIALS}/${client}.kubeconfig`, files, url, certificate, key);
  return leaf;
}

/** A kubeconfig that names the files of a client certificate and its key. Returns where it lies. */
export async function writeKubeconfig(
  path: string,
  files: ServerFiles,
  url: string,
  certificate: string,
  key: string,
  authority = files.at(`${TLS_DIRECTORY}/server-ca.crt`),
): Promise<string> {
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "local", cluster: { server: url, "certificate-authority": authority } }],
    users: [{ name: "user", user: { "client-certificate": certificate, "client-key": key } }],
    contexts: [{ name: "Default", context: { cluster: "local", user: "user" } }],
    "current-context": "Default",
  };
  return await files.write(path, JSON.stringify(kubeconfig));
}
