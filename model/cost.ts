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
export const monthlyCost = ({ cluster: { serverType, location, nodes } }: Platform): Cost => {
  const serverCents = SERVER_TYPES[serverType]?.monthlyCents[priceRegionOf(location)];
  if (serverCents === undefined) throw new Error(`no price is known for ${serverType} in ${location}`);
  const line = (what: string, count: number, cents: number) => ({ what, count, cents });
  const items = [
    line(`server ${serverType} in ${location}`, nodes.length, serverCents),
    line("primary IPv4 address", nodes.length, PRIMARY_IPV4_MONTHLY_CENTS),
  ];
  // In cents until the end: 3 x 8.49 is not 25.47 in binary fractions.
  return {
    lines: items.map(({ what, count, cents }) => ({ what, count, each: cents / 100, total: (count * cents) / 100 })),
    total: items.reduce((sum, { count, cents }) => sum + count * cents, 0) / 100,
    currency: "EUR",
  };
};
