import { closest } from "../closest";
import { K3S_RELEASES } from "../k3s-releases";
import { parseK3sVersion } from "../k3s-step";
import type { Architecture } from "../platform";
import type { Problem } from "../problem";
import { isLocation, LOCATIONS, RETIRED_SERVER_TYPES, SERVER_TYPES, successorOf, typesSoldIn } from "../server-types";
import { SERVER_IMAGES } from "../server-images";
import { LEAST_AGENT, LEAST_SERVER } from "../sizes";
import { amountOf } from "../units";
import { type Check, type Draft, suggest, unique } from "./draft";
import {
  k3sVersionOf,
  locationOf,
  nodesOf,
  poolCountOf,
  poolLocationOf,
  poolsOf,
  SERVER_NAMES,
  serverCountOf,
  serversOf,
  type Sourced,
} from "./nodes";

interface Place {
  readonly role: "server" | "agent";
  readonly location: Sourced<string>;
  readonly serverType: Sourced<string>;
  /** A pool without agents: what it says must exist, but nobody orders it. */
  readonly isEmpty: boolean;
}

/** Where servers of which type are asked for, also by pools that are empty. */
const placesOf = (draft: Draft): Place[] => [
  ...serversOf(draft).map((server): Place => ({ ...server, isEmpty: false })),
  ...poolsOf(draft).map(([name, pool]): Place => ({
    role: "agent",
    isEmpty: poolCountOf(draft, name, pool).value === 0,
    location: poolLocationOf(draft, name, pool),
    serverType: { value: pool.serverType, path: `cluster.pools.${name}.serverType` },
  })),
];

/** The same place is asked for by several nodes; its mistake is told once. */
const once = (problems: readonly Problem[]): Problem[] => [
  ...new Map(problems.map((problem) => [`${problem.code} ${problem.path}`, problem])).values(),
];

export const checkServers: Check = (draft) => {
  const { definition, settings } = draft;
  const { value: count, path } = serverCountOf(draft);
  const problems: Problem[] = [];
  if (count !== 1 && count !== SERVER_NAMES.length)
    return [
      {
        code: "HZ010",
        path,
        got: count,
        allowed: "3, or 1 for development: etcd survives the loss of one in three, and of none in two",
      },
    ];
  if (count === 1 && settings.environment === "production")
    problems.push({
      code: "HZ011",
      path,
      got: count,
      reason:
        "one server is too few for production: it is down whenever it is rebuilt, and its disk is the only copy of the cluster",
      allowed: ["3"],
      action: "take three, or set trivet:environment to staging",
    });
  const { locations } = definition.cluster;
  if (locations === undefined) return problems;
  if (locations.length !== count)
    problems.push({
      code: "HZ012",
      path: "cluster.locations",
      got: locations,
      allowed: `one for each server: ${count}`,
    });
  if (settings.location !== undefined)
    problems.push({
      code: "HZ012",
      path: "trivet:location",
      got: settings.location,
      reason: "cluster.locations says where each server is, so this would move the agents alone",
      action: "take one of the two away",
    });
  return problems;
};

export const checkLocation: Check = (draft) => {
  const all = Object.keys(LOCATIONS);
  const wrong = [locationOf(draft), ...placesOf(draft).map(({ location }) => location)].flatMap(
    ({ value, path }): Problem[] =>
      isLocation(value) ? [] : [{ code: "HZ001", path, got: value, allowed: all, ...suggest(closest(value, all)) }],
  );
  const [first] = serversOf(draft);
  if (first === undefined || !isLocation(first.location.value)) return once(wrong);
  const zone = LOCATIONS[first.location.value];
  const apart = placesOf(draft).flatMap(({ location: { value, path }, isEmpty }): Problem[] =>
    isEmpty || !isLocation(value) || LOCATIONS[value] === zone
      ? []
      : [
          {
            code: "HZ009",
            path,
            got: value,
            reason: `it is in the network zone ${LOCATIONS[value]}, and server a in ${zone}: a private network's subnet lives in one`,
            allowed: all.filter((name) => isLocation(name) && LOCATIONS[name] === zone),
          },
        ],
  );
  return once([...wrong, ...apart]);
};

export const checkServerType: Check = (draft) => once(placesOf(draft).flatMap(typeProblems));

const typeProblems = ({ role, location, serverType: { value, path }, isEmpty }: Place): Problem[] => {
  const place = isLocation(location.value) ? location.value : "nbg1";
  const type = SERVER_TYPES[value];
  if (type === undefined) {
    const reason =
      RETIRED_SERVER_TYPES[value] === undefined
        ? {}
        : { reason: `Hetzner does not sell ${value} any more; ${RETIRED_SERVER_TYPES[value]} took its place` };
    return [
      {
        code: "HZ002",
        path,
        got: value,
        ...reason,
        allowed: typesSoldIn(place),
        ...suggest(successorOf(value, place)),
      },
    ];
  }
  if (!isEmpty && !typesSoldIn(place).includes(value))
    return [
      {
        code: "HZ003",
        path,
        got: value,
        reason: `not sold in ${place}`,
        allowed: typesSoldIn(place),
        ...suggest(successorOf(value, place)),
      },
    ];
  const least = role === "server" ? LEAST_SERVER : LEAST_AGENT;
  const suffices = ({ vcpus, memory }: { vcpus: number; memory: typeof type.memory }): boolean =>
    vcpus >= least.vcpus && amountOf(memory) >= amountOf(least.memory);
  return suffices(type)
    ? []
    : [
        {
          code: "HZ004",
          path,
          got: value,
          reason: `it has ${type.vcpus} vCPU and ${type.memory}; ${
            role === "server" ? "K3s with etcd and Traefik" : "K3s' agent"
          } needs ${least.vcpus} vCPU and ${least.memory}`,
          allowed: typesSoldIn(place).filter((name) => suffices(SERVER_TYPES[name]!)),
        },
      ];
};

export const checkServerImage: Check = ({ definition: { cluster } }) =>
  cluster.image === undefined || SERVER_IMAGES.includes(cluster.image)
    ? []
    : [
        {
          code: "HZ008",
          path: "cluster.image",
          got: cluster.image,
          allowed: SERVER_IMAGES,
          ...suggest(closest(cluster.image, SERVER_IMAGES)),
        },
      ];

/** Which architectures the nodes have, servers' first. */
const architecturesOf = (draft: Draft): Architecture[] =>
  unique(nodesOf(draft).flatMap(({ serverType }) => SERVER_TYPES[serverType.value]?.architecture ?? []));

export const checkK3s: Check = (draft): Problem[] => {
  const { value: k3s, path } = k3sVersionOf(draft);
  const own = draft.settings.k3sBinaries ?? {};
  const release = K3S_RELEASES[k3s];
  const problems = binaryProblems(own);
  // A release that is in no table is as good when the stack brings every binary itself.
  const hasOwn = Object.keys(own).length > 0 && parseK3sVersion(k3s) !== undefined;
  if (release === undefined && !hasOwn) {
    const allowed = Object.keys(K3S_RELEASES);
    return [
      ...problems,
      {
        code: "K3001",
        path,
        got: k3s,
        allowed,
        ...suggest(closest(k3s, allowed)),
        action: "add the release with its checksums to model/k3s-releases.ts",
      },
    ];
  }
  const missing = architecturesOf(draft).find(
    (architecture) => release?.[architecture] === undefined && own[architecture] === undefined,
  );
  if (missing === undefined) return problems;
  return [
    ...problems,
    {
      code: "K3002",
      path,
      got: k3s,
      reason: `no sha256 of its ${missing} binary is known, and none is taken on trust`,
      allowed: Object.entries(K3S_RELEASES)
        .filter(([, sums]) => sums[missing] !== undefined)
        .map(([name]) => name),
    },
  ];
};

const binaryProblems = (
  own: Readonly<Partial<Record<Architecture, { url: string; sha256: string } | undefined>>>,
): Problem[] =>
  Object.entries(own).flatMap(([architecture, binary]): Problem[] => {
    if (binary === undefined) return [];
    const path = `trivet:k3sBinaries.${architecture}`;
    return [
      ...(/^https?:\/\/[^\s/]+\/\S+$/.test(binary.url)
        ? []
        : [
            { code: "K3003", path: `${path}.url`, got: binary.url, allowed: "an http or https URL of a file" } as const,
          ]),
      ...(/^[0-9a-f]{64}$/.test(binary.sha256)
        ? []
        : [
            {
              code: "K3003",
              path: `${path}.sha256`,
              got: binary.sha256,
              allowed: "64 hexadecimal digits, in lower case",
            } as const,
          ]),
    ];
  });
