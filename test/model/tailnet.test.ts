import type { Tailnet } from "../../model/platform";
import { tailnetView } from "../../model/tailnet";

const TAILNET: Tailnet = {
  name: "farm-example.ts.net",
  tag: "tag:farm",
  authKey: "tailscaleAuthKey",
  devices: [
    { node: "a", hostname: "farm-a", fqdn: "farm-a.farm-example.ts.net" },
    { node: "b", hostname: "farm-b", fqdn: "farm-b.farm-example.ts.net" },
  ],
};

interface Peer {
  readonly host: string;
  readonly address: string;
  readonly online?: boolean;
  readonly created?: string;
  readonly tags?: readonly string[] | null;
}

/** As `tailscale status --json` answers (1.102), in the parts that say who is where. */
const status = (peers: readonly Peer[], more: object = {}): string =>
  JSON.stringify({
    Version: "1.102.5",
    BackendState: "Running",
    CurrentTailnet: { Name: "farm.example", MagicDNSSuffix: "farm-example.ts.net", MagicDNSEnabled: true },
    Self: { HostName: "laptop", TailscaleIPs: ["100.64.0.1"], Online: true },
    Peer: Object.fromEntries(
      peers.map(({ host, address, online = true, created = "2026-11-01T08:00:00Z", tags = ["tag:farm"] }, index) => [
        `nodekey:${index}`,
        {
          HostName: host,
          DNSName: `${host}${index === 0 ? "" : `-${index}`}.farm-example.ts.net.`,
          TailscaleIPs: ["fd7a:115c:a1e0::1", address],
          Online: online,
          Created: created,
          ...(tags === null ? {} : { Tags: tags }),
        },
      ]),
    ),
    ...more,
  });

const addresses = (peers: readonly Peer[]): object =>
  Object.fromEntries(tailnetView(TAILNET, status(peers)).addresses!);

test("each node is the device with its host name and the platform's tag", () => {
  expect(
    addresses([
      { host: "farm-a", address: "100.64.0.11" },
      { host: "farm-b", address: "100.64.0.12" },
      { host: "another", address: "100.64.0.13" },
    ]),
  ).toEqual({ a: "100.64.0.11", b: "100.64.0.12" });
});

test("a device that only calls itself so, without the tag, is none of the platform's", () => {
  expect(
    addresses([
      { host: "farm-a", address: "100.64.0.66", tags: null, created: "2026-11-20T08:00:00Z" },
      { host: "farm-b", address: "100.64.0.67", tags: ["tag:other"] },
      { host: "farm-a", address: "100.64.0.11" },
    ]),
  ).toEqual({ a: "100.64.0.11" });
});

test("of a server that was made anew the device that is online counts, and among equals the youngest", () => {
  const before = { host: "farm-a", address: "100.64.0.11", created: "2026-11-01T08:00:00Z" };
  const after = { host: "farm-a", address: "100.64.0.21", created: "2026-11-20T08:00:00Z" };
  for (const peers of [
    [{ ...before, online: false }, after],
    [before, after],
    [after, before],
    [
      { ...after, online: false },
      { ...before, online: false },
    ],
  ])
    expect(addresses(peers)).toEqual({ a: "100.64.0.21" });
  // The younger one is away: whoever answers is the server.
  expect(addresses([before, { ...after, online: false }])).toEqual({ a: "100.64.0.11" });
});

test("nobody is there yet before the first server has booted", () => {
  expect(addresses([])).toEqual({});
  expect(tailnetView(TAILNET, status([], { Peer: null })).addresses?.size).toBe(0);
});

test.each([
  ["a computer that is logged out", { BackendState: "NeedsLogin" }, /not connected \(NeedsLogin\)\. Do: tailscale up/],
  ["one that has no tailnet", { CurrentTailnet: null }, /in the tailnet without a name/],
  [
    "one in another tailnet",
    { CurrentTailnet: { MagicDNSSuffix: "other.ts.net" } },
    /in the tailnet other\.ts\.net\. Do: tailscale switch/,
  ],
])("%s hears what to do", (_, more, problem) => {
  expect(tailnetView(TAILNET, status([], more)).problem).toMatch(problem);
});

test("an answer of something else is a reason, too", () => {
  for (const answer of ["", "Tailscale is stopped.", "{}", "[]"])
    expect(tailnetView(TAILNET, answer).problem).toMatch(/answers something else than a status/);
});
