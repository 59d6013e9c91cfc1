import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { FirewallRule, Project, Server } from "../../../rehearsal/emulators/hetzner/project";
import { firewallOf, nftRules } from "../../../rehearsal/wire/firewall";
import { checkCanIsolate } from "../../../rehearsal/wire/private-network";

const run = promisify(execFile);
const ROOT = join(__dirname, "..", "..", "..");

const canIsolate = ((): boolean => {
  try {
    checkCanIsolate();
    return true;
  } catch (error) {
    console.warn((error as Error).message);
    return false;
  }
})();
const hasIpv6 = existsSync("/proc/net/if_inet6");
const testIsolated = canIsolate ? test : test.skip;

testIsolated(
  "a program plays a container: its server's network, firewall, files and capabilities are those of the manifest",
  async () => {
    const { stdout } = await run(
      process.execPath,
      ["--import", "tsx", join(ROOT, "test", "rehearsal", "wire", "inside.ts")],
      { cwd: ROOT, timeout: 120_000 },
    );
    expect(JSON.parse(stdout)).toEqual({
      privately: 200,
      cloudflare: 200,
      // Hetzner's firewall drops without a word; the private network has none.
      stranger: "no answer",
      strangerAfterwards: 200,
      ...(hasIpv6 ? { ipv6: { cloudflare: 200, stranger: "no answer", strangerAfterwards: 200 } } : {}),
      // NET_BIND_SERVICE (bit 10), and what making its root takes: SYS_CHROOT (18), SETUID (7), SETGID (6).
      status: ["CapEff: 00000000000404c0", "CapBnd: 00000000000404c0", "NoNewPrivs: 1"],
      commandLine: [
        "/bin/etcd",
        "--data-dir=/data/etcd",
        "--listen-client-urls=http://[::]:8443",
        "--advertise-client-urls=http://10.0.1.11:8443",
      ],
      exitCode: 143,
      afterwards: "connect ECONNREFUSED 203.0.113.11:8443",
    });
  },
);

const rule = (more: Partial<FirewallRule>): FirewallRule => ({
  direction: "in",
  protocol: "tcp",
  port: "443",
  source_ips: ["192.0.2.0/24"],
  destination_ips: [],
  description: null,
  ...more,
});

test("the kernel's rules are Hetzner's: what is named comes in on the public interface, all else is dropped", () => {
  expect(
    nftRules([
      rule({ source_ips: ["192.0.2.0/24", "2001:db8::/32"] }),
      rule({ protocol: "udp", port: "7000-7010" }),
      rule({ protocol: "icmp", port: null }),
      rule({ direction: "out", source_ips: [] }),
    ]),
  ).toBe(`table inet hetzner
delete table inet hetzner
table inet hetzner {
  chain input {
    type filter hook input priority filter; policy accept;
    iifname != "public" accept
    ct state established,related accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    ip saddr 192.0.2.0/24 tcp dport 443 accept
    ip6 saddr 2001:db8::/32 tcp dport 443 accept
    ip saddr 192.0.2.0/24 udp dport 7000-7010 accept
    ip saddr 192.0.2.0/24 meta l4proto { icmp, ipv6-icmp } accept
    drop
  }
}
`);
});

test("a server without a firewall is open, one with an empty firewall is closed", () => {
  expect(nftRules(undefined)).toContain("accept\n  }");
  expect(nftRules([])).toContain("drop\n  }");
});

test("firewalls reach a server by its id and by its labels, and their rules add up", () => {
  const server = { id: 1, labels: { role: "server" } } as unknown as Server;
  const [one, two, three] = [rule({ port: "1" }), rule({ port: "2" }), rule({ port: "3" })];
  const firewalls = new Map([
    [10, { rules: [one], targets: [{ type: "server", server: { id: 1 } }] }],
    [11, { rules: [two], targets: [{ type: "label_selector", label_selector: { selector: "role=server" } }] }],
    [12, { rules: [three], targets: [{ type: "label_selector", label_selector: { selector: "role=agent" } }] }],
  ]) as unknown as Project["firewalls"];
  expect(firewallOf({ firewalls }, server)).toEqual([one, two]);
  expect(firewallOf({ firewalls: new Map() }, server)).toBeUndefined();
});
