import { type Door, doors, KUBERNETES_API_PORT } from "./doors";
import type { ClusterNode, Platform } from "./platform";

/** The cluster as Mermaid: nodes with type, place and private address, who keeps them apart, and which doors are open. Same model, same bytes. */
export const clusterPicture = (platform: Platform): string => {
  const { name, cluster } = platform;
  const open = doors(platform).filter(({ role }) => role === "server");
  const { servers, agents, placementGroups, network, snapshots } = cluster;
  const group = (title: string, id: string, nodes: readonly string[]): string[] => [
    `    subgraph ${id}["${title}"]`,
    ...nodes.map((node) => `      ${box([...servers, ...agents].find((one) => one.name === node)!)}`),
    "    end",
  ];
  return [
    "flowchart TB",
    ...[...new Set(open.map(({ from }) => from))].map((from) => `  ${from}(["${caption(from, cluster)}"])`),
    ...(snapshots === undefined
      ? []
      : [`  bucket[("${snapshots.endpoint}<br/>${snapshots.bucket}/${snapshots.folder}")]`]),
    `  subgraph network["${name}: private network ${network.subnetCidr}, pods ${network.podCidr}, services ${network.serviceCidr}"]`,
    ...placementGroups
      .filter(({ nodes }) => nodes.length > 0)
      .flatMap(({ name: title, nodes }) => group(`spread placement group ${title}`, id("group", title), nodes)),
    "  end",
    ...servers.flatMap((node, index) =>
      servers
        .slice(index + 1)
        .map((other) => `  ${id("node", node.name)} <-->|"etcd 2379, 2380"| ${id("node", other.name)}`),
    ),
    ...open.flatMap(({ from, port }) => servers.map((node) => `  ${from} -->|"${port}"| ${id("node", node.name)}`)),
    ...agents.map((node) => `  ${id("node", node.name)} -->|"${KUBERNETES_API_PORT}"| ${id("node", servers[0]!.name)}`),
    ...(snapshots === undefined
      ? []
      : servers.map((node) => `  ${id("node", node.name)} -->|"snapshots, ${snapshots.schedule}"| bucket`)),
    "",
  ].join("\n");
};

const caption = (from: Door["from"], { kubernetesApiAllowedCidrs }: Platform["cluster"]): string =>
  ({
    cloudflare: "Cloudflare's published ranges",
    everybody: "everybody, while Cloudflare is bypassed",
    operators: kubernetesApiAllowedCidrs.join("<br/>"),
  })[from];

/** Mermaid reads "end" and dashes in names as its own. */
const id = (kind: string, name: string): string => `${kind}_${name.replaceAll(/[^A-Za-z0-9]/g, "_")}`;

const box = ({ name, hostname, role, serverType, location, privateAddress }: ClusterNode): string =>
  `${id("node", name)}["${hostname}<br/>${role === "server" ? "server: control plane, etcd" : "agent"}<br/>${serverType}, ${location}<br/>${privateAddress}"]`;
