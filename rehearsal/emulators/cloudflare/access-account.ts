import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { accountOf, type Context, params } from "./context";
import { ApiError, refuse } from "./envelope";
import type { Account } from "./state";

/** What the parts of Access share. */
export const INVALID_REQUEST = 12130;
/** Code and text as several people report them, 2025 and 2026; the status is unconfirmed, but for that it is no 403. */
const NOT_ENABLED = 9999;
const NOT_ENABLED_TEXT =
  "access.api.error.not_enabled: Access is not enabled. Visit the Access dashboard at https://dash.cloudflare.com/ and click the 'Enable Access' button.";

export const DURATION = z
  .string()
  .regex(/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/, "must be a duration such as 30m or 24h");

/** The account, if Zero Trust was ever opened in it: a person does that once, on the dashboard, and no call of an API token can. */
export function accessAccountOf(context: Context, request: FastifyRequest): Account {
  const account = accountOf(context, request);
  if (account.accessTeam === null) refuse(400, NOT_ENABLED, NOT_ENABLED_TEXT);
  return account;
}

export function found<T extends { id: string }>(all: readonly T[], request: FastifyRequest, what: string): T {
  const one = all.find(({ id }) => id === params(request)["id"]);
  if (one === undefined) throw new ApiError(404, { code: 11021, message: `access.api.error.unknown_${what}` });
  return one;
}

export const drop = <T>(all: T[], one: T): void => void all.splice(all.indexOf(one), 1);
