import { isHost } from "../host";
import type { Problem } from "../problem";
import { type Check, suggest } from "./draft";

/** What containerd is told: registries.yaml. */
export const checkRegistries: Check = ({ definition: { cluster } }) => {
  const { mirrors = {}, credentials = {} } = cluster.registries ?? {};
  return [
    ...Object.entries(mirrors).flatMap(([registry, urls]): Problem[] => {
      const path = `cluster.registries.mirrors.${registry}`;
      const problems = registry === "*" ? [] : hostProblems(registry, path, "; or * for all");
      if (urls.length === 0)
        problems.push({
          code: "RG002",
          path,
          reason: "it names no mirror",
          action: "name one, or take the entry away",
        });
      return [...problems, ...urls.flatMap((url, index) => mirrorProblems(url, `${path}[${index}]`))];
    }),
    ...Object.keys(credentials).flatMap((host) => hostProblems(host, `cluster.registries.credentials.${host}`)),
  ];
};

const hostProblems = (host: string, path: string, more = ""): Problem[] => {
  if (isHost(host)) return [];
  const bare = host
    .replace(/^[a-z]+:\/\//i, "")
    .replace(/\/.*$/, "")
    .toLowerCase();
  return [
    {
      code: "RG001",
      path,
      got: host,
      allowed: `a registry's host name, with port if it is not 443, without scheme and path${more}`,
      ...suggest(isHost(bare) ? bare : undefined),
    },
  ];
};

const mirrorProblems = (url: string, path: string): Problem[] => {
  const [, host, place = ""] = /^https:\/\/([^/]+)(\/\S*)?$/.exec(url) ?? [];
  if (host !== undefined && isHost(host) && !/[?#]/.test(place)) return [];
  const isClear = /^http:\/\/[^/\s]+/.test(url);
  return [
    {
      code: "RG002",
      path,
      got: url,
      ...(isClear ? { reason: "images are not signed: in clear, anybody on the way chooses what runs" } : {}),
      allowed: "an https URL of a registry, e.g. https://mirror.example/v2",
      ...suggest(isClear ? url.replace("http:", "https:") : undefined),
    },
  ];
};
