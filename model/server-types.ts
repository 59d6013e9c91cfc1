import { closest } from "./closest";
import type { Architecture, Location, NetworkZone } from "./platform";
import { gibibytes, type MiB } from "./units";

/** Hetzner's locations and their network zones. A private network's subnet lives in one zone. Source: API and price list, 2026-10. */
export const LOCATIONS: Readonly<Record<Location, NetworkZone>> = {
  fsn1: "eu-central",
  nbg1: "eu-central",
  hel1: "eu-central",
  ash: "us-east",
  hil: "us-west",
  sin: "ap-southeast",
};

export const isLocation = (text: string): text is Location => Object.hasOwn(LOCATIONS, text);

/** Where Hetzner asks one price. */
export type PriceRegion = "eu" | "us" | "sin";

export const priceRegionOf = (location: Location): PriceRegion =>
  LOCATIONS[location] === "eu-central" ? "eu" : LOCATIONS[location] === "ap-southeast" ? "sin" : "us";

export interface ServerType {
  readonly architecture: Architecture;
  readonly vcpus: number;
  readonly memory: MiB;
  readonly diskGigabytes: number;
  /**
   * Euro cents a month, net, without the IPv4 address; a region that is missing does not sell the type.
   * For new orders and rescales since 2026-06-15; read 2026-09-29 (`GET /v1/pricing` and published tables).
   */
  readonly monthlyCents: Readonly<Partial<Record<PriceRegion, number>>>;
}

const x86 = (vcpus: number, memoryGiB: number, diskGigabytes: number, monthlyCents: ServerType["monthlyCents"]) =>
  ({ architecture: "x86", vcpus, memory: gibibytes(memoryGiB), diskGigabytes, monthlyCents }) as const;
const arm = (vcpus: number, memoryGiB: number, diskGigabytes: number, monthlyCents: ServerType["monthlyCents"]) =>
  ({ architecture: "arm", vcpus, memory: gibibytes(memoryGiB), diskGigabytes, monthlyCents }) as const;

/** What can be ordered, from the smallest family to the dedicated one. */
export const SERVER_TYPES: Readonly<Record<string, ServerType>> = {
  cx23: x86(2, 4, 40, { eu: 549 }),
  cx33: x86(4, 8, 80, { eu: 849 }),
  cx43: x86(8, 16, 160, { eu: 1599 }),
  cx53: x86(16, 32, 320, { eu: 2949 }),
  cax11: arm(2, 4, 40, { eu: 599 }),
  cax21: arm(4, 8, 80, { eu: 1049 }),
  cax31: arm(8, 16, 160, { eu: 2099 }),
  cax41: arm(16, 32, 320, { eu: 4099 }),
  cpx12: x86(1, 2, 40, { eu: 1149, sin: 1549 }),
  cpx22: x86(2, 4, 80, { eu: 1949, sin: 2649 }),
  cpx32: x86(4, 8, 160, { eu: 3549, sin: 4899 }),
  cpx42: x86(8, 16, 320, { eu: 6949, sin: 9349 }),
  cpx52: x86(12, 24, 480, { eu: 10049, sin: 13449 }),
  cpx62: x86(16, 32, 640, { eu: 12999, sin: 17199 }),
  cpx11: x86(2, 2, 40, { us: 1749 }),
  cpx21: x86(3, 4, 80, { us: 3199 }),
  cpx31: x86(4, 8, 160, { us: 6249 }),
  ccx13: x86(2, 8, 80, { eu: 4299, us: 4349 }),
  ccx23: x86(4, 16, 160, { eu: 8599, us: 8749 }),
  ccx33: x86(8, 32, 240, { eu: 13849, us: 14099 }),
  ccx43: x86(16, 64, 360, { eu: 27599, us: 27949 }),
};

/** No longer sold anywhere, and what took its place. Existing servers go on running. Source: as above. */
export const RETIRED_SERVER_TYPES: Readonly<Record<string, string>> = {
  cx11: "cx23",
  cx21: "cx23",
  cx31: "cx33",
  cx41: "cx43",
  cx51: "cx53",
  cx22: "cx23",
  cx32: "cx33",
  cx42: "cx43",
  cx52: "cx53",
  cpx41: "cpx42",
  cpx51: "cpx52",
};

/** Types still sold in the US and replaced in Europe. */
const EUROPEAN_SUCCESSORS: Readonly<Record<string, string>> = { cpx11: "cpx22", cpx21: "cpx22", cpx31: "cpx32" };

export const typesSoldIn = (location: Location): string[] =>
  Object.entries(SERVER_TYPES)
    .filter(([, type]) => type.monthlyCents[priceRegionOf(location)] !== undefined)
    .map(([name]) => name);

/** The type to take instead, when one is near. */
export const successorOf = (name: string, location: Location): string | undefined => {
  const sold = typesSoldIn(location);
  const successor = RETIRED_SERVER_TYPES[name] ?? EUROPEAN_SUCCESSORS[name];
  return successor !== undefined && sold.includes(successor) ? successor : closest(name, sold);
};
