/** What is not a server, in euro cents a month, net. Source: Hetzner's price list, read 2026-09-29. Server prices: server-types.ts. */
export const PRIMARY_IPV4_MONTHLY_CENTS = 50;

/** Free, named so that the bill shows that it was not forgotten. */
export const FREE = ["private network", "firewall", "placement group", "primary IPv6"] as const;
