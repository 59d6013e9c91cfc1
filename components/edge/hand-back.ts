import { isDeepStrictEqual } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import type { Edge } from "../../model/platform";
import { NEW_ZONE_SETTINGS, type ZoneSettingValue } from "../../model/zone-defaults";
import { zoneSettings } from "./zone-settings";

/**
 * Cloudflare has no delete for a zone's settings, so they outlive a destroyed platform. A hook before the delete would put them back, but
 * the engine takes it from the state, and refuses a plain `pulumi destroy`, which runs no program, as long as any resource has one.
 * So the way back is an `up` of its own, right before: `TRIVET_HAND_BACK=<zone> pulumi up`, then `pulumi destroy`.
 */
const HAND_BACK = "TRIVET_HAND_BACK";

/** Whether the operator has this run put the zone's settings back. The zone's name is asked for, so that nobody leaves it set. */
export function isHandedBack({ zone }: Pick<Edge, "zone">, environment: NodeJS.ProcessEnv = process.env): boolean {
  const wanted = environment[HAND_BACK];
  if (wanted === undefined || wanted === "") return false;
  if (wanted === zone.name) return true;
  throw new pulumi.RunError(
    `${HAND_BACK} is "${wanted}"; allowed: the zone of this platform, "${zone.name}". Nothing was changed`,
  );
}

/**
 * What `pulumi destroy` leaves as it is: an output of the stack, printed by every `up`. A destroy, which runs no program and prints no
 * outputs, marks the settings that stay as retained.
 */
export interface StaysAtCloudflare {
  /** "ssl is strict (in a new zone: full)" */
  readonly settings: readonly string[];
  /** The command that puts them back first. */
  readonly putBackFirst: string;
}

/** Undefined when nothing stays. */
export function staysAtCloudflare(edge: Edge, handedBack: boolean): StaysAtCloudflare | undefined {
  const settings = handedBack
    ? []
    : Object.entries(zoneSettings(edge)).flatMap(([id, value]) => {
        const before = NEW_ZONE_SETTINGS[id];
        return isDeepStrictEqual(value, before) ? [] : [`${id} is ${said(value)} (in a new zone: ${said(before)})`];
      });
  if (!handedBack && edge.originPulls !== undefined)
    settings.push("authenticated origin pulls are on (in a new zone: off)");
  // See zone-signing.ts.
  const signed = edge.zone.dnssec
    ? ["the zone stays signed: take the DS record away at the registrar, and a day later DNSSEC at Cloudflare"]
    : [];
  if (settings.length === 0) return signed.length === 0 ? undefined : { settings: signed, putBackFirst: "by hand" };
  return { settings: [...settings, ...signed], putBackFirst: `${HAND_BACK}=${edge.zone.name} pulumi up` };
}

const DAY_SECONDS = 24 * 60 * 60;

/** Short: Pulumi cuts an output's text after some 150 characters. */
function said(value: ZoneSettingValue | undefined): string {
  if (typeof value === "string") return value;
  const hsts = value?.["strict_transport_security"] as
    { enabled: boolean; max_age: number; include_subdomains: boolean; preload: boolean } | undefined;
  if (hsts === undefined) return JSON.stringify(value);
  if (!hsts.enabled) return "no HSTS";
  const more = [...(hsts.include_subdomains ? ["subdomains"] : []), ...(hsts.preload ? ["preload"] : [])];
  return `HSTS for ${hsts.max_age / DAY_SECONDS} days${more.length === 0 ? "" : ` with ${more.join(" and ")}`}`;
}
