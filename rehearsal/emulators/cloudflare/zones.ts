import { ApiError, page, paging, success, text } from "./envelope";
import { type Context, needs, query, type Routes, zoneOf } from "./context";
import { sees } from "./permissions";
import type { Plan, Zone } from "./state";
import { tokenOf } from "./tokens";

/** Monthly price in USD when paid by the month (cloudflare.com/plans, 2026). */
const PLAN_SHOWN: Record<Plan, { id: string; name: string; price: number }> = {
  free: { id: "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", name: "Free Website", price: 0 },
  pro: { id: "1feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", name: "Pro Website", price: 25 },
  business: { id: "2feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", name: "Business Website", price: 250 },
  enterprise: { id: "94f3b7b768b0458b56d2cac4fe5ec0f9", name: "Enterprise Website", price: 0 },
};
const PAGE_RULES: Record<Plan, number> = { free: 3, pro: 20, business: 50, enterprise: 125 };

function shown(zone: Zone, { state }: Context) {
  const account = state.accounts.find(({ id }) => id === zone.accountId);
  const plan = PLAN_SHOWN[zone.plan];
  return {
    id: zone.id,
    name: zone.name,
    status: "active",
    paused: false,
    type: "full",
    development_mode: 0,
    name_servers: zone.nameServers,
    original_name_servers: null,
    original_registrar: null,
    original_dnshost: null,
    modified_on: zone.createdOn,
    created_on: zone.createdOn,
    activated_on: zone.createdOn,
    meta: {
      step: 2,
      custom_certificate_quota: 0,
      page_rule_quota: PAGE_RULES[zone.plan],
      phishing_detected: false,
    },
    owner: { id: null, type: "user", email: null },
    account: { id: zone.accountId, name: account?.name ?? "" },
    tenant: { id: null, name: null },
    tenant_unit: { id: null },
    permissions: [
      "#dns_records:edit",
      "#dns_records:read",
      "#ssl:edit",
      "#ssl:read",
      "#zone:read",
      "#zone_settings:edit",
    ],
    plan: {
      ...plan,
      currency: "USD",
      frequency: zone.plan === "free" ? "" : "monthly",
      is_subscribed: zone.plan !== "free",
      can_subscribe: false,
      legacy_id: zone.plan,
      legacy_discount: false,
      externally_managed: false,
    },
  };
}

export const zoneRoutes: Routes = (app, context) => {
  app.get("/zones", needs("zone"), async (request) => {
    const asked = query(request);
    const name = text(asked["name"])?.toLowerCase();
    const [operator, value] = name?.includes(":") ? name.split(":", 2) : ["equal", name];
    const account = text(asked["account.id"]);
    const accountName = text(asked["account.name"]);
    const status = text(asked["status"]);
    const token = tokenOf(context, request);
    const fits = (zone: Zone): boolean => {
      if (!sees(token, zone)) return false;
      if (account !== undefined && zone.accountId !== account) return false;
      if (
        accountName !== undefined &&
        context.state.accounts.find(({ id }) => id === zone.accountId)?.name !== accountName
      )
        return false;
      if (status !== undefined && status !== "active") return false;
      if (value === undefined) return true;
      switch (operator) {
        case "contains":
          return zone.name.includes(value);
        case "starts_with":
          return zone.name.startsWith(value);
        case "ends_with":
          return zone.name.endsWith(value);
        default:
          return zone.name === value;
      }
    };
    return page(context.state.zones.filter(fits), paging(asked, { usual: 20, most: 50 }), (zone) =>
      shown(zone, context),
    );
  });
  app.get("/zones/:zone_id", needs("zone"), async (request) => success(shown(zoneOf(context, request), context)));
  // Trivet keeps the zone out of its programs: nameservers are moved at a registrar, by a person.
  app.post("/zones", needs("zone"), async () => {
    throw new ApiError(403, {
      code: 0,
      message: "The emulator makes no zones over the API: name them when it is started.",
    });
  });
};
