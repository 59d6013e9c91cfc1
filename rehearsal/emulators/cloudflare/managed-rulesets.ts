import { PLANS, type Plan } from "./state";

export interface ManagedRuleset {
  id: string;
  name: string;
  phase: string;
  /** The smallest plan that may execute it. */
  plan: Plan;
}

/**
 * Rulesets of Cloudflare's that a zone can execute; the same ids everywhere. The first four: developers.cloudflare.com/waf/managed-rules (2026),
 * and five and more independent programs each; the last two as one zone listed them (2026), and many programs.
 */
export const MANAGED_RULESETS: readonly ManagedRuleset[] = [
  {
    id: "efb7b8c949ac4650a09736fc376e9aee",
    name: "Cloudflare Managed Ruleset",
    phase: "http_request_firewall_managed",
    plan: "pro",
  },
  {
    id: "4814384a9e5d4991b9815dcfc25d2f1f",
    name: "Cloudflare OWASP Core Ruleset",
    phase: "http_request_firewall_managed",
    plan: "pro",
  },
  {
    id: "c2e184081120413c86c3ab7e14069605",
    name: "Cloudflare Exposed Credentials Check Ruleset",
    phase: "http_request_firewall_managed",
    plan: "pro",
  },
  {
    id: "77454fe2d30c4220b5701f6fdfb893ba",
    name: "Cloudflare Managed Free Ruleset",
    phase: "http_request_firewall_managed",
    plan: "free",
  },
  { id: "4d21379b4f9f4bb088e0729962c8b3cf", name: "DDoS L7 ruleset", phase: "ddos_l7", plan: "free" },
  {
    id: "70339d97bdb34195bbf054b1ebe81f76",
    name: "Cloudflare Normalization Ruleset",
    phase: "http_request_sanitize",
    plan: "free",
  },
];

export const mayExecute = (ruleset: ManagedRuleset, plan: Plan): boolean =>
  PLANS.indexOf(plan) >= PLANS.indexOf(ruleset.plan);
