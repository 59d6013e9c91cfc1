import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { checkUpload, newestActive, type OriginPullCertificate, statusOf, told } from "./client-certificates";
import { body, type Context, needs, params, query, type Routes, zoneOf } from "./context";
import { ApiError, page, paging, refuse, success } from "./envelope";
import { newId, timestamp, type Zone } from "./state";

/** Which certificate the edge shows for one host, in place of the zone's. */
export interface HostnamePull {
  hostname: string;
  certId: string;
  enabled: boolean;
  createdAt: string;
  updatedAt: string;
}

/**
 * What the edge shows to the origins of a zone. For a host that has a certificate of its own, that one. Else nothing while the zone does not ask
 * for it, the newest active certificate of the zone where it has one ("the most recently deployed certificate will be the one enabled and
 * used", developers.cloudflare.com, manage-certificates, 2026), and otherwise the one that Cloudflare shows for all its customers.
 */
export function shownToOrigins(zone: Zone, now: Date, hostname?: string): OriginPullCertificate | "shared" | undefined {
  const own = zone.hostnamePulls.find((one) => one.hostname === hostname && one.enabled);
  const ownCertificate = zone.hostnamePullCertificates.filter(({ id }) => id === own?.certId);
  const ofHost = newestActive(ownCertificate, now);
  if (ofHost !== undefined) return ofHost;
  return zone.originPulls.enabled ? (newestActive(zone.originPullCertificates, now) ?? "shared") : undefined;
}

const uploadBody = z.object({ certificate: z.string().min(1), private_key: z.string().min(1) });
const hostnamesBody = z.object({
  config: z
    .array(z.object({ hostname: z.string().min(1), cert_id: z.string().min(1), enabled: z.boolean().nullish() }))
    .min(1),
});

/** Unconfirmed: only that the answer is a 404 is known (the provider takes it for "gone"). */
const NOT_FOUND = 1001;
const INVALID_BODY = 1400;

/** Upload, list, read and delete: the same for the certificates of a zone and those of its hosts. */
function serveCertificates(
  app: FastifyInstance,
  context: Context,
  {
    base,
    of,
    shown,
    isInUse,
  }: {
    base: string;
    of: (zone: Zone) => OriginPullCertificate[];
    shown: (zone: Zone, one: OriginPullCertificate) => object;
    isInUse?: (zone: Zone, one: OriginPullCertificate) => boolean;
  },
): void {
  const there = (zone: Zone) => of(zone).filter((one) => statusOf(one, context.now()) !== "deleted");
  const found = (zone: Zone, request: FastifyRequest): OriginPullCertificate => {
    const one = there(zone).find(({ id }) => id === params(request)["certificate_id"]);
    if (one === undefined) throw new ApiError(404, { code: NOT_FOUND, message: "Certificate not found" });
    return one;
  };
  const later = (from: Date): string =>
    timestamp(new Date(from.getTime() + context.state.edgeDeploymentSeconds * 1000));

  app.get(base, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    return page(there(zone), paging(query(request), { usual: 20, most: 50 }), (one) => shown(zone, one));
  });
  app.post(base, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    const { certificate, private_key: privateKey } = body(request, uploadBody, INVALID_BODY);
    checkUpload({ certificate, privateKey }, there(zone));
    const now = context.now();
    const made = { id: newId(), certificate, privateKey, uploadedOn: timestamp(now), activeOn: later(now) };
    of(zone).push(made);
    return success(shown(zone, made));
  });
  app.get(`${base}/:certificate_id`, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    return success(shown(zone, found(zone, request)));
  });
  app.delete(`${base}/:certificate_id`, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    const one = found(zone, request);
    if (isInUse?.(zone, one)) refuse(400, INVALID_BODY, "The certificate is in use by a hostname");
    const now = context.now();
    one.deletedOn ??= timestamp(now);
    one.goneOn ??= later(now);
    return success(shown(zone, one));
  });
}

export const originPullRoutes: Routes = (app, context: Context) => {
  const base = "/zones/:zone_id/origin_tls_client_auth";

  app.get(`${base}/settings`, needs("ssl"), async (request) =>
    success({ enabled: zoneOf(context, request).originPulls.enabled }),
  );
  app.put(`${base}/settings`, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    zone.originPulls = body(request, z.object({ enabled: z.boolean() }), INVALID_BODY);
    return success(zone.originPulls);
  });

  serveCertificates(app, context, {
    base,
    of: (zone) => zone.originPullCertificates,
    shown: (zone, one) => ({ id: one.id, ...told(one, context.now()), enabled: zone.originPulls.enabled }),
  });
  serveCertificates(app, context, {
    base: `${base}/hostnames/certificates`,
    of: (zone) => zone.hostnamePullCertificates,
    shown: (_, one) => ({ id: one.id, ...told(one, context.now()) }),
    // Unconfirmed; else a host would ask for a certificate that nobody has any more.
    isInUse: (zone, { id }) => zone.hostnamePulls.some(({ certId }) => certId === id),
  });

  const pullShown = (zone: Zone, pull: HostnamePull) => {
    const certificate = zone.hostnamePullCertificates.find(({ id }) => id === pull.certId);
    const { status, uploaded_on, ...about } = certificate ? told(certificate, context.now()) : {};
    return {
      hostname: pull.hostname,
      enabled: pull.enabled,
      status: "active",
      created_at: pull.createdAt,
      updated_at: pull.updatedAt,
      cert_id: pull.certId,
      cert_status: status,
      cert_uploaded_on: uploaded_on,
      cert_updated_at: uploaded_on,
      ...about,
    };
  };
  const hostnames = `${base}/hostnames`;
  app.put(hostnames, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    const { config } = body(request, hostnamesBody, INVALID_BODY);
    const now = timestamp(context.now());
    for (const { hostname, cert_id: certId, enabled } of config) {
      const isOfZone = hostname === zone.name || hostname.endsWith(`.${zone.name}`);
      if (!isOfZone) refuse(400, INVALID_BODY, `hostname ${hostname} does not belong to zone ${zone.name}`);
      if (!zone.hostnamePullCertificates.some(({ id, deletedOn }) => id === certId && deletedOn === undefined))
        refuse(400, INVALID_BODY, `cert_id ${certId} is no certificate for hostnames of this zone`);
      const before = zone.hostnamePulls.find((one) => one.hostname === hostname);
      zone.hostnamePulls = zone.hostnamePulls.filter((one) => one !== before);
      // Null takes the host's own certificate away (developers.cloudflare.com, "Rollback", 2026).
      if (typeof enabled === "boolean")
        zone.hostnamePulls.push({ hostname, certId, enabled, createdAt: before?.createdAt ?? now, updatedAt: now });
    }
    return success(zone.hostnamePulls.map((pull) => pullShown(zone, pull)));
  });
  app.get(`${hostnames}/:hostname`, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    const pull = zone.hostnamePulls.find(({ hostname }) => hostname === params(request)["hostname"]);
    if (pull === undefined) throw new ApiError(404, { code: NOT_FOUND, message: "Hostname not found" });
    return success(pullShown(zone, pull));
  });
};
