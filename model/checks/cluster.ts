import { closest } from "../closest";
import { K3S_RELEASES } from "../k3s-releases";
import type { Problem } from "../problem";
import { isLocation, LOCATIONS, RETIRED_SERVER_TYPES, SERVER_TYPES, successorOf, typesSoldIn } from "../server-types";
import { SERVER_IMAGES } from "../server-images";
import { amountOf } from "../units";
import { type Check, suggest } from "./draft";
import { k3sVersionOf, locationOf, serverTypeOf } from "./nodes";

export const checkLocation: Check = (draft) => {
  const { value, path } = locationOf(draft);
  if (isLocation(value)) return [];
  const allowed = Object.keys(LOCATIONS);
  return [{ code: "HZ001", path, got: value, allowed, ...suggest(closest(value, allowed)) }];
};

export const checkServerType: Check = (draft): Problem[] => {
  const { value, path } = serverTypeOf(draft);
  const location = locationOf(draft).value;
  const place = isLocation(location) ? location : "nbg1";
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
  if (!typesSoldIn(place).includes(value))
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
  if (type.vcpus < 2 || amountOf(type.memory) < 4096)
    return [
      {
        code: "HZ004",
        path,
        got: value,
        reason: `it has ${type.vcpus} vCPU and ${type.memory}; K3s with etcd and Traefik needs 2 vCPU and 4096Mi`,
        allowed: typesSoldIn(place).filter((name) => {
          const other = SERVER_TYPES[name]!;
          return other.vcpus >= 2 && amountOf(other.memory) >= 4096;
        }),
      },
    ];
  return [];
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

export const checkK3s: Check = (draft): Problem[] => {
  const { value: k3s, path } = k3sVersionOf(draft);
  const release = K3S_RELEASES[k3s];
  if (release === undefined) {
    const allowed = Object.keys(K3S_RELEASES);
    return [
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
  const architecture = SERVER_TYPES[serverTypeOf(draft).value]?.architecture;
  if (architecture === undefined || release[architecture] !== undefined) return [];
  return [
    {
      code: "K3002",
      path,
      got: k3s,
      reason: `no sha256 of its ${architecture} binary is known, and none is taken on trust`,
      allowed: Object.entries(K3S_RELEASES)
        .filter(([, sums]) => sums[architecture] !== undefined)
        .map(([name]) => name),
    },
  ];
};
