import { isHost } from "../host";
import type { Problem } from "../problem";
import { type Check, suggest } from "./draft";

const HOST_RULE = "a registry's host name, with port if it is not 443, without scheme and path";

/** What containerd is told: registries.yaml. */
export const checkRegistries: Check = ({ definition: { cluster } }) => {
  const { mirrors = {}, credentials = {} } = cluster.registries ?? {};
  const hostProblems = (host: string, path: string, others: string): Problem[] => {
    const bare = host
      .replace(/^[a-z]+:\/\//i, "")
      .replace(/\/.*$/, "")
      .toLowerCase();
    return isHost(host) || (host === "*" && others !== "")
      ? []
      : [
          {
            code: "RG001",
            path,
            got: host,
            allowed: `${HOST_RULE}${others}`,
            ...suggest(isHost(bare) ? bare : undefined),
          },
        ];
  };
  return [
    ...Object.entries(mirrors).flatMap(([registry, urls]) => [
      ...hostProblems(registry, `cluster.registries.mirrors.${registry}`, "; or * for all"),
      ...(urls.length === 0
        ? [
            {
              code: "RG002",
              path: `cluster.registries.mirrors.${registry}`,
              reason: "it names no mirror",
              action: "name one, or take the entry away",
            } as const,
          ]
        : []),
      ...urls.flatMap((url, index): Problem[] => {
        const path = `cluster.registries.mirrors.${registry}[${index}]`;
        const [, host, rest] = /^https:\/\/([^/]+)(\/\S*)?$/.exec(url) ?? [];
        if (host !== undefined && isHost(host) && !(rest ?? "").includes("?")) return [];
        const secure = url.replace(/^http:/, "https:");
        return [
          {
            code: "RG002",
            path,
            got: url,
            reason: url.startsWith("http:")
              ? "images are not signed: in clear, anybody on the way chooses what runs"
              : "",
            allowed: "an https URL of a registry, e.g. https://mirror.example/v2",
            ...suggest(secure !== url && /^https:\/\/[^/\s]+/.test(secure) ? secure : undefined),
          },
        ].map(({ reason, ...problem }): Problem => ({
          ...problem,
          code: "RG002",
          ...(reason === "" ? {} : { reason }),
        }));
      }),
    ]),
    ...Object.keys(credentials).flatMap((host) => hostProblems(host, `cluster.registries.credentials.${host}`, "")),
  ];
};
