import type { Platform } from "./platform";
import { PRIMARY_IPV4_MONTHLY_CENTS } from "./prices";
import { priceRegionOf, SERVER_TYPES } from "./server-types";

export interface CostLine {
  readonly what: string;
  readonly count: number;
  /** Euro a month, net, for one. */
  readonly each: number;
  readonly total: number;
}

export interface Cost {
  readonly lines: readonly CostLine[];
  /** Euro a month, net: a full month's cap. Powered-off servers cost the same. */
  readonly total: number;
  readonly currency: "EUR";
}

/** What the platform costs in a month at the prices for new orders; servers bought before 2026-06-15 keep their older price. */
export const monthlyCost = ({ cluster: { nodes } }: Platform): Cost => {
  const groups = new Map<string, { what: string; count: number; cents: number }>();
  for (const { serverType, location } of nodes) {
    const cents = SERVER_TYPES[serverType]?.monthlyCents[priceRegionOf(location)];
    if (cents === undefined) throw new Error(`no price is known for ${serverType} in ${location}`);
    const what = `server ${serverType} in ${location}`;
    groups.set(what, { what, cents, count: (groups.get(what)?.count ?? 0) + 1 });
  }
  const items = [
    ...groups.values(),
    { what: "primary IPv4 address", count: nodes.length, cents: PRIMARY_IPV4_MONTHLY_CENTS },
  ];
  // In cents until the end: 3 x 8.49 is not 25.47 in binary fractions.
  return {
    lines: items.map(({ what, count, cents }) => ({ what, count, each: cents / 100, total: (count * cents) / 100 })),
    total: items.reduce((sum, { count, cents }) => sum + count * cents, 0) / 100,
    currency: "EUR",
  };
};
