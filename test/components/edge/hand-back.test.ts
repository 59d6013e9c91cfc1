import { isHandedBack, staysAtCloudflare } from "../../../components/edge/hand-back";
import { zoneSettings } from "../../../components/edge/zone-settings";
import { NEW_ZONE_SETTINGS } from "../../../model/zone-defaults";
import { honeyduePlatform } from "../../support/platform";

const { edge } = honeyduePlatform();

describe("handing a zone back", () => {
  test("happens for this zone's name alone, and a wrong name stops the run", () => {
    expect(isHandedBack(edge, {})).toBe(false);
    expect(isHandedBack(edge, { TRIVET_HAND_BACK: "" })).toBe(false);
    expect(isHandedBack(edge, { TRIVET_HAND_BACK: "honeydue.example" })).toBe(true);
    expect(() => isHandedBack(edge, { TRIVET_HAND_BACK: "yes" })).toThrow(
      'TRIVET_HAND_BACK is "yes"; allowed: the zone of this platform, "honeydue.example". Nothing was changed',
    );
  });

  test("knows for every setting that is ever made what a new zone has", () => {
    expect(Object.keys(zoneSettings(edge)).filter((id) => NEW_ZONE_SETTINGS[id] === undefined)).toEqual([]);
  });

  test("before it, the stack says which settings a destroyed platform leaves, and how to put them back", () => {
    const stays = staysAtCloudflare(edge, false);
    expect(stays?.settings).toContain("ssl is strict (in a new zone: full)");
    expect(stays?.settings).toContain("min_tls_version is 1.2 (in a new zone: 1.0)");
    // As in a new zone: nothing to say.
    expect(stays?.settings.filter((line) => line.startsWith("tls_1_3 "))).toEqual([]);
    expect(stays?.settings).toContain("security_header is HSTS for 30 days (in a new zone: no HSTS)");
    expect(stays?.putBackFirst).toBe("TRIVET_HAND_BACK=honeydue.example pulumi up");
  });

  test("after it, nothing stays", () => {
    expect(staysAtCloudflare(edge, true)).toBeUndefined();
  });

  test("a signed zone stays signed in any case: only the registrar can end that safely", () => {
    const signed = { ...edge, zone: { ...edge.zone, dnssec: true } };
    expect(staysAtCloudflare(signed, true)?.settings).toEqual([expect.stringContaining("the zone stays signed")]);
    expect(staysAtCloudflare(signed, false)?.settings.at(-1)).toContain("the registrar");
  });
});
