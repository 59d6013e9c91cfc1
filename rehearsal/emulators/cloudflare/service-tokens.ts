import { randomBytes, randomUUID } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { accessAccountOf, drop, DURATION, found, INVALID_REQUEST } from "./access-account";
import { body, type Context, needs, query, type Routes } from "./context";
import { page, paging, refuse, success } from "./envelope";
import { type Account, newId, seconds } from "./state";

export interface ServiceToken {
  id: string;
  name: string;
  client_id: string;
  client_secret: string;
  /** Raised by whoever wants a new secret; the old one is then accepted for a while. */
  client_secret_version: number;
  previous?: { client_secret: string; expires_at: string };
  duration: string;
  enabled: boolean;
  created_at: string;
  updated_at: string;
  /** Null: never. */
  expires_at: string | null;
}

/** Of an account (developers.cloudflare.com/cloudflare-one/account-limits, 2026). */
const MOST_SERVICE_TOKENS = 50;

const UNIT_SECONDS: Readonly<Record<string, number>> = { ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };

/** `2h45m` in seconds. */
const durationSeconds = (duration: string): number =>
  [...duration.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (UNIT_SECONDS[unit ?? ""] ?? 0),
    0,
  );

/** The service token that a request's `CF-Access-Client-Id` and `CF-Access-Client-Secret` name; undefined where they are wrong or too old. */
export function serviceTokenOf(
  { serviceTokens }: Account,
  clientId: string,
  clientSecret: string,
  now: Date,
): ServiceToken | undefined {
  const token = serviceTokens.find((one) => one.client_id === clientId);
  if (!token?.enabled || (token.expires_at !== null && new Date(token.expires_at) <= now)) return undefined;
  const { previous } = token;
  const isPrevious = previous?.client_secret === clientSecret && new Date(previous.expires_at) > now;
  return token.client_secret === clientSecret || isPrevious ? token : undefined;
}

const newSecret = (): string => randomBytes(32).toString("hex");

const tokenBody = z.object({
  name: z.string().min(1).nullish(),
  duration: z
    .union([z.literal("forever"), DURATION], { error: "must be a duration such as 24h, or forever" })
    .nullish(),
  enabled: z.boolean().nullish(),
  client_secret_version: z.number().min(1).nullish(),
  previous_client_secret_expires_at: z.iso.datetime({ offset: true }).nullish(),
});

/** What machines show to Access in place of a person's login. */
export const serviceTokenRoutes: Routes = (app, context: Context) => {
  const now = () => seconds(context.now());
  const tokens = "/accounts/:account_id/access/service_tokens";
  const token = (request: FastifyRequest) =>
    found(accessAccountOf(context, request).serviceTokens, request, "service_token");
  // A secret is shown once, by the call that made it.
  const tokenShown = ({ client_secret: _, client_secret_version: __, previous: ___, ...rest }: ServiceToken) => ({
    ...rest,
    last_seen_at: null,
  });
  const tokenWithSecret = (one: ServiceToken) => ({ ...tokenShown(one), client_secret: one.client_secret });
  const expiry = (from: string, duration: string): string | null =>
    duration === "forever" ? null : seconds(new Date(new Date(from).getTime() + durationSeconds(duration) * 1000));
  const rotate = (one: ServiceToken, previousExpiresAt: string | null | undefined): void => {
    one.previous = { client_secret: one.client_secret, expires_at: previousExpiresAt ?? now() };
    one.client_secret = newSecret();
    one.updated_at = now();
  };
  app.get(tokens, needs("service-tokens"), async (request) =>
    page(
      accessAccountOf(context, request).serviceTokens,
      paging(query(request), { usual: 25, most: 1000 }),
      tokenShown,
    ),
  );
  app.post(tokens, needs("service-tokens"), async (request) => {
    const account = accessAccountOf(context, request);
    const asked = body(request, tokenBody.extend({ name: z.string().min(1) }), INVALID_REQUEST);
    if (account.serviceTokens.length >= MOST_SERVICE_TOKENS)
      refuse(400, 11023, `access.api.error.limit_exceeded: ${MOST_SERVICE_TOKENS} service tokens`);
    const duration = asked.duration ?? "8760h";
    const made: ServiceToken = {
      id: randomUUID(),
      name: asked.name,
      client_id: `${newId()}.access`,
      client_secret: newSecret(),
      client_secret_version: asked.client_secret_version ?? 1,
      duration,
      enabled: asked.enabled ?? true,
      created_at: now(),
      updated_at: now(),
      expires_at: expiry(now(), duration),
    };
    account.serviceTokens.push(made);
    return success(tokenWithSecret(made));
  });
  app.get(`${tokens}/:id`, needs("service-tokens"), async (request) => success(tokenShown(token(request))));
  app.put(`${tokens}/:id`, needs("service-tokens"), async (request) => {
    const one = token(request);
    const asked = body(request, tokenBody, INVALID_REQUEST);
    const version = asked.client_secret_version ?? one.client_secret_version;
    const rotates = version > one.client_secret_version;
    Object.assign(one, {
      name: asked.name ?? one.name,
      enabled: asked.enabled ?? one.enabled,
      client_secret_version: version,
      updated_at: now(),
    });
    // From the day it was made, not from today: unconfirmed.
    if (asked.duration)
      Object.assign(one, { duration: asked.duration, expires_at: expiry(one.created_at, asked.duration) });
    if (rotates) rotate(one, asked.previous_client_secret_expires_at);
    else if (one.previous && asked.previous_client_secret_expires_at)
      one.previous.expires_at = asked.previous_client_secret_expires_at;
    return success(rotates ? tokenWithSecret(one) : tokenShown(one));
  });
  app.post(`${tokens}/:id/rotate`, needs("service-tokens"), async (request) => {
    const one = token(request);
    const asked = body(request, tokenBody, INVALID_REQUEST);
    one.client_secret_version++;
    rotate(one, asked.previous_client_secret_expires_at);
    return success(tokenWithSecret(one));
  });
  app.post(`${tokens}/:id/refresh`, needs("service-tokens"), async (request) => {
    const one = token(request);
    Object.assign(one, { updated_at: now(), expires_at: expiry(now(), one.duration) });
    return success(tokenShown(one));
  });
  app.delete(`${tokens}/:id`, needs("service-tokens"), async (request) => {
    const one = token(request);
    drop(accessAccountOf(context, request).serviceTokens, one);
    return success(tokenShown(one));
  });
};
