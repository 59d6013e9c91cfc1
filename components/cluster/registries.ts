import type { Registries } from "../../model/platform";

export const REGISTRIES_PATH = "/etc/rancher/k3s/registries.yaml";

/**
 * What containerd is told about registries, or undefined when there is nothing to tell. K3s reads it at its start only: a new
 * password alone reaches a running node with its next rebuild (`trivet roll`), as secrets are outside of a node's definition.
 */
export function registriesConfig(
  { mirrors, credentials }: Registries,
  password: (secretName: string) => string,
): object | undefined {
  if (Object.keys(mirrors).length === 0 && Object.keys(credentials).length === 0) return undefined;
  return {
    mirrors: Object.fromEntries(Object.entries(mirrors).map(([host, endpoint]) => [host, { endpoint }])),
    configs: Object.fromEntries(
      Object.entries(credentials).map(([host, { username, password: secretName }]) => [
        host,
        { auth: { username, password: password(secretName) } },
      ]),
    ),
  };
}
