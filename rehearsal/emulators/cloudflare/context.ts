import type { FastifyInstance, FastifyRequest } from "fastify";
import type { z } from "zod";
import { ApiError, noRoute, type Query } from "./envelope";
import type { Permission, PermissionArea } from "./permissions";
import { type Account, type CloudflareState, HEX_ID, type Zone } from "./state";

/** What every part of the API works on. */
export interface Context {
  readonly state: CloudflareState;
  now(): Date;
  /** What the calls so far needed and had. */
  readonly permissionsUsed: Set<Permission>;
  /** Whether an address may stand behind a proxied record: public, or declared public for this rehearsal. */
  isPublic(address: string): boolean;
}

/** What a route asks of the token, checked before the handler runs; "some": only that there is one, the handler looks closer. */
declare module "fastify" {
  interface FastifyContextConfig {
    needs?: PermissionArea | "some";
  }
}

export const needs = (area: PermissionArea | "some") => ({ config: { needs: area } });

export type Params = Readonly<Record<string, string>>;
export const params = (request: FastifyRequest): Params => request.params as Params;
export const query = (request: FastifyRequest): Query => request.query as Query;
export const pathOf = (request: FastifyRequest): string => request.url.split("?", 1)[0] ?? request.url;

/** The zone of the path. An id that is not one, or of no zone here, cannot be routed. */
export function zoneOf({ state }: Context, request: FastifyRequest): Zone {
  const id = params(request)["zone_id"] ?? "";
  const zone = HEX_ID.test(id) ? state.zones.find((one) => one.id === id) : undefined;
  if (zone === undefined) throw noRoute(pathOf(request));
  return zone;
}

export function accountOf({ state }: Context, request: FastifyRequest): Account {
  const id = params(request)["account_id"] ?? "";
  if (!HEX_ID.test(id)) throw noRoute(pathOf(request));
  const account = state.accounts.find((one) => one.id === id);
  if (account === undefined) throw new ApiError(403, { code: 10000, message: "Authentication error" });
  return account;
}

/** Judges a body by its schema; `code` is what that part of the API answers where it does not fit. */
export function body<T>(request: FastifyRequest, schema: z.ZodType<T>, code: number): T {
  const asked = schema.safeParse(request.body ?? {});
  if (asked.success) return asked.data;
  throw new ApiError(
    400,
    asked.error.issues.map(({ path, message }) => ({
      code,
      message: path.length === 0 ? message : `${path.join(".")}: ${message}`,
    })),
  );
}

export type Routes = (app: FastifyInstance, context: Context) => void;
