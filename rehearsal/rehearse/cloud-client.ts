/** The parts of the two clouds' answers that a rehearsal's summary reads; names are the APIs' own. */

export interface ServerView {
  id: number;
  name: string;
  status: string;
  server_type: { name: string; prices: { location: string; price_monthly: { net: string } }[] };
  location: { name: string };
  public_net: {
    ipv4: { ip: string } | null;
    ipv6?: { ip: string } | null;
    firewalls: { id: number; status: string }[];
  };
}

export interface FirewallView {
  id: number;
  name: string;
  rules: { direction: string; protocol: string; port?: string | null; source_ips: string[] }[];
}

export interface DnsRecordView {
  name: string;
  type: string;
  content: string;
  proxied: boolean;
}

export interface TunnelView {
  id: string;
  name: string;
  /** Rules in their order; the last one has no host name. */
  rules: { hostname?: string; path?: string; service: string; originRequest?: { access?: { required?: boolean } } }[];
}

export interface RedirectView {
  expression: string;
  enabled: boolean;
  action_parameters?: { from_value?: { status_code?: number } };
}

export interface AccessApplicationView {
  domain: string;
  policies: unknown[];
}

export interface PagesProjectView {
  name: string;
  domains: string[];
}

export interface PrimaryIpView {
  type: string;
  location: { name: string } | null;
}

export interface PricingView {
  pricing: {
    currency: string;
    primary_ips: { type: string; prices: { location: string; price_monthly: { net: string } }[] }[];
  };
}

/** Talks to one of the emulated clouds as any client does. */
export class CloudClient {
  readonly #baseUrl: string;
  readonly #token: string;

  constructor(baseUrl: string, token: string) {
    this.#baseUrl = baseUrl;
    this.#token = token;
  }

  async get<T>(path: string): Promise<T> {
    return this.send<T>("GET", path);
  }

  async send<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.#baseUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, ...(body ? { "content-type": "application/json" } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  }
}

/** What the inventory costs a month at the cloud's own price list, net, in its currency. */
export function monthlyCost(
  servers: readonly ServerView[],
  primaryIps: readonly PrimaryIpView[],
  { pricing }: PricingView,
): { amount: number; currency: string } {
  const net = (prices: { location: string; price_monthly: { net: string } }[], location: string): number => {
    const price = prices.find((one) => one.location === location);
    if (!price) throw new Error(`The price list has no price for ${location}`);
    return Number(price.price_monthly.net);
  };
  const ofServers = servers.reduce((sum, { server_type, location }) => sum + net(server_type.prices, location.name), 0);
  const ofAddresses = primaryIps.reduce((sum, { type, location }) => {
    const prices = pricing.primary_ips.find((one) => one.type === type)?.prices;
    return sum + (prices && location ? net(prices, location.name) : 0);
  }, 0);
  return { amount: Math.round((ofServers + ofAddresses) * 100) / 100, currency: pricing.currency };
}
