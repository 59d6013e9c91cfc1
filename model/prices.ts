/** What is not a server, in euro cents a month, net. Source: Hetzner's price list, read 2026-09-29. Server prices: server-types.ts. */
export const PRIMARY_IPV4_MONTHLY_CENTS = 50;
