import type { Route } from "../../../model/platform";
import { isWildcard } from "./http-options";

/** The middleware that answers for what a host has no route for. */
export const NOWHERE = "nowhere";

const NOBODY = "0.0.0.0/32";
const NOT_FOUND = 404;

export const nowhere = { ipAllowList: { sourceRange: [NOBODY], rejectStatusCode: NOT_FOUND } };

/** Names of which not everything has a route: the rest is nothing, and not what `*` has for every *other* name. */
export const hostsWithoutRoot = (routes: readonly Route[]): readonly string[] => {
  if (!routes.some(({ fqdn }) => isWildcard(fqdn))) return [];
  const named = [...new Set(routes.map(({ fqdn }) => fqdn))].filter((fqdn) => !isWildcard(fqdn));
  return named.filter((host) => !routes.some(({ fqdn, path, exact }) => fqdn === host && path === "/" && !exact));
};
