/** What Hetzner sells: locations, server types, images and prices, as they are for new orders since 15 June 2026. */

export interface Location {
  id: number;
  name: string;
  description: string;
  country: string;
  city: string;
  latitude: number;
  longitude: number;
  network_zone: string;
}

export const locations: readonly Location[] = [
  {
    id: 1,
    name: "fsn1",
    description: "Falkenstein DC Park 1",
    country: "DE",
    city: "Falkenstein",
    latitude: 50.47612,
    longitude: 12.370071,
    network_zone: "eu-central",
  },
  {
    id: 2,
    name: "nbg1",
    description: "Nuremberg DC Park 1",
    country: "DE",
    city: "Nuremberg",
    latitude: 49.452102,
    longitude: 11.076665,
    network_zone: "eu-central",
  },
  {
    id: 3,
    name: "hel1",
    description: "Helsinki DC Park 1",
    country: "FI",
    city: "Helsinki",
    latitude: 60.169855,
    longitude: 24.938379,
    network_zone: "eu-central",
  },
  {
    id: 4,
    name: "ash",
    description: "Ashburn, VA",
    country: "US",
    city: "Ashburn, VA",
    latitude: 39.045821,
    longitude: -77.487073,
    network_zone: "us-east",
  },
  {
    id: 5,
    name: "hil",
    description: "Hillsboro, OR",
    country: "US",
    city: "Hillsboro, OR",
    latitude: 45.54222,
    longitude: -122.951924,
    network_zone: "us-west",
  },
  {
    id: 6,
    name: "sin",
    description: "Singapore",
    country: "SG",
    city: "Singapore",
    latitude: 1.283333,
    longitude: 103.833333,
    network_zone: "ap-southeast",
  },
];

export const networkZones: readonly string[] = [...new Set(locations.map((location) => location.network_zone))];

const EU = ["fsn1", "nbg1", "hel1"] as const;
const US = ["ash", "hil"] as const;
const SINGAPORE = ["sin"] as const;

/** Net EUR a month; the hour where it is known, else derived (see `hourly`). */
interface Offer {
  locations: readonly string[];
  monthlyNet: number;
  hourlyNet?: number;
}

export interface ServerType {
  id: number;
  name: string;
  category: string;
  cpuType: "shared" | "dedicated";
  architecture: "x86" | "arm";
  cores: number;
  memoryGiB: number;
  diskGB: number;
  offers: readonly Offer[];
  /** Not ordered any more, anywhere: kept so that refusals can be tried. */
  deprecation?: { announced: string; unavailable_after: string };
}

const costOptimized = { category: "cost_optimized", cpuType: "shared" } as const;
const regular = { category: "regular_purpose", cpuType: "shared", architecture: "x86" } as const;
const dedicated = { category: "general_purpose", cpuType: "dedicated", architecture: "x86" } as const;
const eu = (monthlyNet: number, hourlyNet?: number): Offer => ({
  locations: EU,
  monthlyNet,
  ...(hourlyNet ? { hourlyNet } : {}),
});
const us = (monthlyNet: number): Offer => ({ locations: US, monthlyNet });
const sin = (monthlyNet: number): Offer => ({ locations: SINGAPORE, monthlyNet });

/** Prices without IPv4, read from the public price feed in September and October 2026. Ids as the API had them where known. */
export const serverTypes: readonly ServerType[] = [
  {
    id: 114,
    name: "cx23",
    ...costOptimized,
    architecture: "x86",
    cores: 2,
    memoryGiB: 4,
    diskGB: 40,
    offers: [eu(5.49, 0.0088)],
  },
  {
    id: 115,
    name: "cx33",
    ...costOptimized,
    architecture: "x86",
    cores: 4,
    memoryGiB: 8,
    diskGB: 80,
    offers: [eu(8.49, 0.0136)],
  },
  {
    id: 116,
    name: "cx43",
    ...costOptimized,
    architecture: "x86",
    cores: 8,
    memoryGiB: 16,
    diskGB: 160,
    offers: [eu(15.99, 0.0256)],
  },
  {
    id: 117,
    name: "cx53",
    ...costOptimized,
    architecture: "x86",
    cores: 16,
    memoryGiB: 32,
    diskGB: 320,
    offers: [eu(29.49, 0.0473)],
  },
  {
    id: 45,
    name: "cax11",
    ...costOptimized,
    architecture: "arm",
    cores: 2,
    memoryGiB: 4,
    diskGB: 40,
    offers: [eu(5.99, 0.0096)],
  },
  {
    id: 93,
    name: "cax21",
    ...costOptimized,
    architecture: "arm",
    cores: 4,
    memoryGiB: 8,
    diskGB: 80,
    offers: [eu(10.49, 0.0168)],
  },
  {
    id: 94,
    name: "cax31",
    ...costOptimized,
    architecture: "arm",
    cores: 8,
    memoryGiB: 16,
    diskGB: 160,
    offers: [eu(20.99, 0.0336)],
  },
  {
    id: 95,
    name: "cax41",
    ...costOptimized,
    architecture: "arm",
    cores: 16,
    memoryGiB: 32,
    diskGB: 320,
    offers: [eu(40.99, 0.0657)],
  },
  { id: 108, name: "cpx12", ...regular, cores: 1, memoryGiB: 2, diskGB: 40, offers: [eu(11.49), sin(15.49)] },
  { id: 109, name: "cpx22", ...regular, cores: 2, memoryGiB: 4, diskGB: 80, offers: [eu(19.49), sin(26.49)] },
  { id: 110, name: "cpx32", ...regular, cores: 4, memoryGiB: 8, diskGB: 160, offers: [eu(35.49, 0.0569), sin(48.99)] },
  { id: 111, name: "cpx42", ...regular, cores: 8, memoryGiB: 16, diskGB: 320, offers: [eu(69.49, 0.1114), sin(93.49)] },
  { id: 112, name: "cpx52", ...regular, cores: 12, memoryGiB: 24, diskGB: 480, offers: [eu(100.49), sin(134.49)] },
  { id: 113, name: "cpx62", ...regular, cores: 16, memoryGiB: 32, diskGB: 640, offers: [eu(129.99), sin(171.99)] },
  { id: 22, name: "cpx11", ...regular, cores: 2, memoryGiB: 2, diskGB: 40, offers: [us(17.49)] },
  { id: 23, name: "cpx21", ...regular, cores: 3, memoryGiB: 4, diskGB: 80, offers: [us(31.99)] },
  { id: 24, name: "cpx31", ...regular, cores: 4, memoryGiB: 8, diskGB: 160, offers: [us(62.49)] },
  { id: 96, name: "ccx13", ...dedicated, cores: 2, memoryGiB: 8, diskGB: 80, offers: [eu(42.99), us(43.49)] },
  { id: 97, name: "ccx23", ...dedicated, cores: 4, memoryGiB: 16, diskGB: 160, offers: [eu(85.99), us(87.49)] },
  { id: 98, name: "ccx33", ...dedicated, cores: 8, memoryGiB: 32, diskGB: 240, offers: [eu(138.49), us(140.99)] },
  { id: 99, name: "ccx43", ...dedicated, cores: 16, memoryGiB: 64, diskGB: 360, offers: [eu(275.99), us(279.49)] },
  // Predecessors of cx23 and cx33; the API answered "server type 104 is deprecated" on 2026-03-05.
  {
    id: 104,
    name: "cx22",
    ...costOptimized,
    architecture: "x86",
    cores: 2,
    memoryGiB: 4,
    diskGB: 40,
    offers: [eu(5.49)],
    deprecation: { announced: "2025-10-16T06:00:00Z", unavailable_after: "2026-01-01T06:00:00Z" },
  },
  {
    id: 105,
    name: "cx32",
    ...costOptimized,
    architecture: "x86",
    cores: 4,
    memoryGiB: 8,
    diskGB: 80,
    offers: [eu(8.49)],
    deprecation: { announced: "2025-10-16T06:00:00Z", unavailable_after: "2026-01-01T06:00:00Z" },
  },
];

export interface Image {
  id: number;
  name: string;
  description: string;
  osFlavor: string;
  osVersion: string;
  architecture: "x86" | "arm";
  diskGB: number;
  created: string;
  deprecated: string | null;
}

const image = (
  [x86Id, armId]: readonly [number, number],
  osFlavor: string,
  osVersion: string,
  description: string,
  created: string,
  deprecated: string | null = null,
): Image[] =>
  (
    [
      ["x86", x86Id],
      ["arm", armId],
    ] as const
  ).map(([architecture, id]) => ({
    id,
    name: `${osFlavor}-${osVersion}`,
    description,
    osFlavor,
    osVersion,
    architecture,
    diskGB: 5,
    created,
    deprecated,
  }));

/** The system images that a cluster node is built from, and one that is on its way out. */
export const images: readonly Image[] = [
  ...image([114690387, 114690389], "debian", "12", "Debian 12", "2023-06-13T06:00:00Z"),
  ...image([310557660, 310557661], "debian", "13", "Debian 13", "2025-08-18T06:00:00Z"),
  ...image([67794396, 103907373], "ubuntu", "22.04", "Ubuntu 22.04", "2022-04-21T13:32:38Z"),
  ...image([161547269, 161547270], "ubuntu", "24.04", "Ubuntu 24.04", "2024-04-25T13:26:27Z"),
  ...image([356000001, 356000002], "ubuntu", "26.04", "Ubuntu 26.04", "2026-04-23T13:00:00Z"),
  ...image([45557056, 103908130], "debian", "11", "Debian 11", "2021-08-16T11:12:01Z", "2026-08-31T06:00:00Z"),
];

/** German VAT, the default of a price list that is not bound to a customer. */
const VAT_RATE = 0.19;

/** Hours in the month that Hetzner's cap is computed with: 8.49 / 0.0136 = 624. */
const HOURS_TO_CAP = 624;

export interface Price {
  net: string;
  gross: string;
}

export const price = (net: number): Price => ({ net: net.toFixed(10), gross: (net * (1 + VAT_RATE)).toFixed(16) });

const hourly = ({ hourlyNet, monthlyNet }: Offer): number =>
  hourlyNet ?? Math.round((monthlyNet / HOURS_TO_CAP) * 1e4) / 1e4;

const TERABYTE_BYTES = 1024 ** 4;

/** Included traffic: 20 TB in the EU, from 1 TB in the US, from 0.5 TB in Singapore. */
export const includedTrafficBytes = (location: string): number =>
  (EU as readonly string[]).includes(location)
    ? 20 * TERABYTE_BYTES
    : location === "sin"
      ? TERABYTE_BYTES / 2
      : TERABYTE_BYTES;

const trafficPricePerTerabyte = (location: string): Price => price(location === "sin" ? 7.4 : 1);

export const serverTypePrices = (serverType: ServerType) =>
  serverType.offers.flatMap((offer) =>
    offer.locations.map((location) => ({
      location,
      price_hourly: price(hourly(offer)),
      price_monthly: price(offer.monthlyNet),
      included_traffic: includedTrafficBytes(location),
      price_per_tb_traffic: trafficPricePerTerabyte(location),
    })),
  );

/** A Primary IPv4 is 0.50 net a month (four sources agree), an IPv6 network is free. */
const PRIMARY_IPV4_MONTHLY_NET = 0.5;

const primaryIpPrices = (monthlyNet: number) =>
  locations.map(({ name }) => ({
    // The client still declares the field; the API stopped filling it with the data centres.
    datacenter: "",
    location: name,
    price_hourly: price(Math.round((monthlyNet / HOURS_TO_CAP) * 1e4) / 1e4),
    price_monthly: price(monthlyNet),
  }));

const perLocation = (monthlyNet: number) =>
  locations.map(({ name }) => ({ location: name, price_monthly: price(monthlyNet) }));

/** No source for 2026: the list prices of 2025. The client (hcloud-go 2.47.0) panics where Floating IPs have fewer types than Primary IPs. */
const FLOATING_IP_MONTHLY_NET = { ipv4: 3, ipv6: 1 };

/** Answer of `GET /pricing`. Load Balancers are left out: of most no price is known. */
export const pricing = () => ({
  currency: "EUR",
  vat_rate: (VAT_RATE * 100).toFixed(6),
  image: { price_per_gb_month: price(0.0143) },
  floating_ip: { price_monthly: price(FLOATING_IP_MONTHLY_NET.ipv4) },
  floating_ips: Object.entries(FLOATING_IP_MONTHLY_NET).map(([type, net]) => ({ type, prices: perLocation(net) })),
  primary_ips: [
    { type: "ipv4", prices: primaryIpPrices(PRIMARY_IPV4_MONTHLY_NET) },
    { type: "ipv6", prices: primaryIpPrices(0) },
  ],
  traffic: { price_per_tb: price(1) },
  server_backup: { percentage: "20.0000000000" },
  server_types: serverTypes.map((type) => ({ id: type.id, name: type.name, prices: serverTypePrices(type) })),
  load_balancer_types: [],
  volume: { price_per_gb_month: price(0.0572) },
});
