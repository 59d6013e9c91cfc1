import { wantedRecords } from "../../../components/edge/records";
import type { Platform, Tunnel } from "../../../model/platform";
import { honeyduePlatform } from "../../support/platform";

const honeydue = honeyduePlatform();

const lines = (platform: Platform): string[] =>
  wantedRecords(platform).map(({ role, fqdn, type, destination, proxied, ttlSeconds }) => {
    const where =
      destination.kind === "node"
        ? `${destination.node} ${destination.family}`
        : destination.kind === "tunnel"
          ? `tunnel ${destination.tunnel}`
          : destination.kind === "direct"
            ? destination.fqdn
            : destination.kind;
    return `${role}: ${fqdn} ${type} ${where} ${proxied ? "proxied" : "grey"} ${ttlSeconds}`;
  });

const tunnel = (name: string): Tunnel => ({
  name,
  connectors: 2,
  tokenSecretName: "token",
  revision: 1,
  adopt: undefined,
  rules: [],
});
const behindTunnel = (edge: Partial<Platform["edge"]> = {}): Platform => ({
  ...honeydue,
  edge: {
    ...honeydue.edge,
    ...edge,
    kind: "tunnel",
    tls: "strict",
    tunnel: tunnel("honeydue"),
    originCertificate: undefined,
    originPulls: undefined,
  },
});
const ADMIN = "admin: admin.honeydue.example CNAME tunnel operators proxied 1";

describe("records of hosts", () => {
  test("are one a host and server, proxied, named as they always were", () => {
    expect(lines(honeydue).slice(0, 6)).toEqual([
      "api-a: api.honeydue.example A a ipv4 proxied 1",
      "api-b: api.honeydue.example A b ipv4 proxied 1",
      "api-c: api.honeydue.example A c ipv4 proxied 1",
      "apex-a: honeydue.example A a ipv4 proxied 1",
      "apex-b: honeydue.example A b ipv4 proxied 1",
      "apex-c: honeydue.example A c ipv4 proxied 1",
    ]);
    expect(lines(honeydue)).toHaveLength(3 * 3 + 2);
  });

  test("are twice as many with IPv6, and the first ones stay as they are", () => {
    const with6 = lines({ ...honeydue, cluster: { ...honeydue.cluster, ipv6: true } });
    expect(with6).toHaveLength(6 * 3 + 2);
    expect(with6).toEqual(expect.arrayContaining(lines(honeydue)));
    expect(with6).toContain("apex-b-ipv6: honeydue.example AAAA b ipv6 proxied 1");
  });

  test("lead a guarded host to the operators' tunnel, whichever kind of edge it is", () => {
    for (const platform of [honeydue, behindTunnel()])
      expect(lines(platform).filter((line) => line.includes("admin."))).toEqual([ADMIN]);
  });

  test("are one a host behind a tunnel, without any address", () => {
    expect(lines(behindTunnel())).toEqual([
      "api: api.honeydue.example CNAME tunnel users proxied 1",
      "apex: honeydue.example CNAME tunnel users proxied 1",
      "app: app.honeydue.example CNAME tunnel users proxied 1",
      ADMIN,
      "www: www.honeydue.example CNAME tunnel users proxied 1",
    ]);
  });

  test("let a redirected host be proxied, or no request would reach the rule", () => {
    expect(lines(honeydue).at(-1)).toBe("www-a: www.honeydue.example A nowhere proxied 1");
    expect(lines(behindTunnel()).at(-1)).toBe("www: www.honeydue.example CNAME tunnel users proxied 1");
  });
});

describe("records while Cloudflare is bypassed", () => {
  const direct: Platform = { ...honeydue, edge: { ...honeydue.edge, mode: "direct" } };
  const roles = (platform: Platform): string[] => wantedRecords(platform).map(({ role, type }) => `${role} ${type}`);

  test("are the same ones, grey and short-lived", () => {
    const hosts = (platform: Platform): string[] => roles(platform).filter((role) => !/^(admin|www)/.test(role));
    expect(hosts(direct)).toEqual(hosts(honeydue));
    expect(lines(direct).filter((line) => !line.endsWith(" grey 60"))).toEqual([ADMIN]);
  });

  test("keep every record of a tunnel, so that no name is ever without one, and add one name with the servers' addresses", () => {
    const [before, after] = [behindTunnel(), behindTunnel({ mode: "direct" })];
    expect(roles(after).slice(3)).toEqual(roles(before));
    expect(lines(after).slice(0, 4)).toEqual([
      "direct-a: direct.honeydue.example A a ipv4 grey 60",
      "direct-b: direct.honeydue.example A b ipv4 grey 60",
      "direct-c: direct.honeydue.example A c ipv4 grey 60",
      "api: api.honeydue.example CNAME direct.honeydue.example grey 60",
    ]);
  });

  test("leave what is guarded behind Cloudflare Access", () => {
    for (const platform of [direct, behindTunnel({ mode: "direct" })]) expect(lines(platform)).toContain(ADMIN);
  });

  test("lead a redirected host to the servers, which redirect now", () => {
    expect(lines(direct).slice(-3)).toEqual([
      "www-a: www.honeydue.example A a ipv4 grey 60",
      "www-b: www.honeydue.example A b ipv4 grey 60",
      "www-c: www.honeydue.example A c ipv4 grey 60",
    ]);
  });
});
