import type { FastifyRequest } from "fastify";
import { ApiError, success } from "./envelope";
import { accountOf, type Context, params, type Routes } from "./context";
import { allows, neededFor, type PermissionArea, sees } from "./permissions";
import type { ApiToken } from "./state";

const bearer = (request: FastifyRequest): string | undefined => {
  const header = request.headers.authorization;
  if (header === undefined) return undefined;
  const value = /^Bearer ([A-Za-z0-9_-]{40,})$/.exec(header)?.[1];
  if (value === undefined)
    throw new ApiError(400, [
      { code: 6003, message: "Invalid request headers" },
      { code: 6111, message: "Invalid format for Authorization header" },
    ]);
  return value;
};

/** The token of a call. None, a wrong form, an unknown one and one that is switched off are four different answers. */
export function tokenOf({ state }: Context, request: FastifyRequest): ApiToken {
  const value = bearer(request);
  if (value === undefined)
    throw new ApiError(400, { code: 9106, message: "Missing X-Auth-Key, X-Auth-Email or Authorization headers" });
  const token = state.tokens.find((one) => one.value === value);
  if (token === undefined) throw new ApiError(403, { code: 9109, message: "Invalid access token" });
  return token;
}

/** Whether a call may be answered at all: the token is alive, has the permission, and sees the zone or account of the path. */
export function checkToken(
  context: Context,
  request: FastifyRequest,
  token: ApiToken,
  area: PermissionArea | "some",
): void {
  if (token.status !== "active") throw new ApiError(403, { code: 9109, message: "Invalid access token" });
  checkReach(context, request, token);
  if (area !== "some" && !permits(context, request, token, area))
    throw notAllowed(`the token lacks ${neededFor(area, request.method)}`);
}

/** Whether a token has what a call needs; what was needed and there is remembered. */
export function permits(
  { permissionsUsed }: Context,
  { method }: FastifyRequest,
  token: ApiToken,
  area: PermissionArea,
): boolean {
  const isThere = allows(token, area, method);
  if (isThere) permissionsUsed.add(neededFor(area, method));
  return isThere;
}

/** The API does not say what is missing; whoever rehearses may read it in a header. */
const notAllowed = (reason: string): ApiError =>
  new ApiError(403, { code: 10000, message: "Authentication error" }, because(reason));
export const because = (reason: string) => ({ "x-rehearsal-reason": reason });

function checkReach({ state }: Context, request: FastifyRequest, token: ApiToken): void {
  const { zone_id: zoneId, account_id: accountId } = params(request);
  const zone = state.zones.find(({ id }) => id === zoneId);
  if (zone && !sees(token, zone)) {
    const reason = `the token does not see the zone ${zone.name}`;
    const isZoneItself = request.routeOptions.url?.endsWith("/:zone_id");
    throw isZoneItself
      ? new ApiError(403, { code: 9109, message: "Unauthorized to access requested resource" }, because(reason))
      : notAllowed(reason);
  }
  const isOwner = state.zones.some((one) => one.accountId === accountId && sees(token, one));
  if (accountId !== undefined && token.zones !== "all" && !isOwner)
    throw notAllowed("the token sees no zone of this account");
}

export const tokenRoutes: Routes = (app, context) => {
  const verify = (request: FastifyRequest) => {
    const value = bearer(request);
    const token = context.state.tokens.find((one) => one.value === value);
    if (token === undefined) throw new ApiError(401, { code: 1000, message: "Invalid API Token" });
    const messages = token.status === "active" ? [{ code: 10000, message: "This API Token is valid and active" }] : [];
    return success({ id: token.id, status: token.status }, { messages });
  };
  app.get("/user/tokens/verify", async (request) => verify(request));
  app.get("/accounts/:account_id/tokens/verify", async (request) => {
    const answer = verify(request);
    accountOf(context, request);
    return answer;
  });
};
