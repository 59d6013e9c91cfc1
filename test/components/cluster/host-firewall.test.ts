import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostFirewall } from "../../../components/cluster/host-firewall";
import { referencePlatform } from "../../model/platforms.fixture";
import { honeyduePlatform } from "../../support/platform";

const rules = hostFirewall(honeyduePlatform());
/** The same, and what a tailnet adds. */
const rulesWithTailnet = hostFirewall(referencePlatform("farm"));

/** The real kernel and the real nft, in namespaces of their own; only root on Linux has that. */
const AVAILABLE =
  spawnSync("unshare", [
    "--net",
    "--mount",
    "sh",
    "-c",
    "ip link add test0 type veth peer name test1 && nft list ruleset",
  ]).status === 0;
const describeKernel = AVAILABLE ? describe : describe.skip;

/**
 * A node with a public and a private interface, one of a tailnet and one pod, in a network of its own; around it a world that holds everybody else's
 * addresses. Prints, for each connection tried, whether it came about.
 */
const WORLD = `
set -e
mount --make-rprivate / && mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns
ip link set lo up
ip netns add node && ip netns add pod
ip link add private type veth peer name ens10 netns node
ip link add public type veth peer name eth0 netns node
ip link add tailnet type veth peer name tailscale0 netns node
ip address add 100.64.0.1/10 dev tailnet && ip link set tailnet up
ip -n node link set tailscale0 up && ip -n node address add 100.64.0.11/10 dev tailscale0
ip link add eth0 netns pod type veth peer name cni0 netns node
for address in 10.0.0.1/16 10.0.1.12/32 10.0.9.9/32; do ip address add $address dev private; done
for address in 203.0.113.1/24 198.51.100.7/32 169.254.169.254/32; do ip address add $address dev public; done
ip link set private up && ip link set public up
node="ip -n node" pod="ip -n pod"
$node link set lo up && $node link set ens10 up && $node link set eth0 up && $node link set cni0 up
$node address add 10.0.1.11/16 dev ens10 && $node address add 203.0.113.11/24 dev eth0
$node address add 10.42.0.1/24 dev cni0 && $node route add default via 203.0.113.1
ip netns exec node sysctl -qw net.ipv4.ip_forward=1
$pod link set lo up && $pod link set eth0 up && $pod address add 10.42.0.5/24 dev eth0 && $pod route add default via 10.42.0.1
ip route add 10.42.0.0/24 via 10.0.1.11
ip netns exec node nft -f "$1"
ip netns exec node nft -f "$1"
listen='
import socket, sys, time
servers = [socket.create_server(("0.0.0.0", int(port))) for port in sys.argv[1:]]
print(flush=True)
time.sleep(60)'
exec 3< <(ip netns exec node python3 -c "$listen" 22 443 2379 2380 2381 6443 10250) 4< <(ip netns exec pod python3 -c "$listen" 8000) 5< <(python3 -c "$listen" 80 2379)
read -u 3; read -u 4; read -u 5
try='
import concurrent.futures, socket, sys
def attempt(one):
    source, address, port = one.split(",")
    try:
        socket.create_connection((address, int(port)), timeout=1, source_address=(source, 0)).close()
        return f"{source} -> {address}:{port} open"
    except OSError:
        return f"{source} -> {address}:{port} closed"
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print("\\n".join(pool.map(attempt, sys.argv[1:])))'
shift
ip netns exec node python3 -c "$try" $1
ip netns exec pod python3 -c "$try" $2
python3 -c "$try" $3
kill $(jobs -p)
`;

const NODE = "10.0.1.11";
const NODE_PUBLIC = "203.0.113.11";
const POD = "10.42.0.5";
const SERVER = "10.0.1.12";
const STRANGER = "10.0.9.9";
const OUTSIDE = "198.51.100.7";
const NODE_IN_TAILNET = "100.64.0.11";
const OPERATOR = "100.64.0.1";
const METADATA = "169.254.169.254";

/** Who asks, whom, and whether it should come about. */
const CONNECTIONS: readonly (readonly [
  from: string,
  to: string,
  ports: readonly number[],
  open: boolean,
  why: string,
])[] = [
  [SERVER, NODE, [2379, 2380, 2381, 6443, 10250], true, "nodes reach one another"],
  [STRANGER, NODE, [22, 443, 2379, 2380, 2381, 6443, 10250], false, "the rest of the private network reaches no node"],
  [STRANGER, POD, [8000], false, "nor a pod behind it"],
  [SERVER, POD, [8000], true, "a node reaches pods"],
  [POD, NODE, [443, 2381, 6443, 10250], true, "pods reach the API server, kubelets and host ports"],
  [POD, NODE, [2379, 2380], false, "but never etcd"],
  [OUTSIDE, NODE_PUBLIC, [443, 6443], true, "what Hetzner's firewall lets in gets in"],
  [OUTSIDE, NODE_PUBLIC, [22, 2379, 2380, 2381, 10250], false, "and no more than that"],
  [POD, SERVER, [2379], false, "nor that of another node, to which they would look like their own"],
  [NODE, SERVER, [2379], true, "which nodes reach"],
  [POD, METADATA, [80], false, "no pod gets the user-data"],
  [NODE_PUBLIC, METADATA, [80], false, "nor does one in the host network"],
  [POD, SERVER, [80], true, "pods reach the outside, and get answers"],
  [NODE, SERVER, [80], true, "and so does the node"],
  [OPERATOR, NODE_IN_TAILNET, [6443], true, "operators reach the Kubernetes API over the tailnet"],
  [OPERATOR, NODE_IN_TAILNET, [22, 443, 2379, 2381, 10250], false, "and nothing else of the node"],
  [NODE_IN_TAILNET, OPERATOR, [80, 2379], false, "to which the node itself begins nothing"],
  [POD, OPERATOR, [80], false, "nor does a pod, which would look like the node there"],
];

describeKernel("the host firewall, in the kernel", () => {
  let seen: string;

  beforeAll(() => {
    const folder = mkdtempSync(join(tmpdir(), "trivet-nft-"));
    writeFileSync(join(folder, "host.nft"), rulesWithTailnet);
    const from = (...sources: string[]): string =>
      CONNECTIONS.filter(([source]) => sources.includes(source))
        .flatMap(([source, to, ports]) => ports.map((port) => `${source},${to},${port}`))
        .join(" ");
    const { stdout, stderr } = spawnSync(
      "unshare",
      [
        ...[
          "--net",
          "--mount",
          "--pid",
          "--fork",
          "--kill-child",
          "bash",
          "-c",
          WORLD,
          "world",
          join(folder, "host.nft"),
        ],
        ...[from(NODE, NODE_PUBLIC, NODE_IN_TAILNET), from(POD), from(SERVER, STRANGER, OUTSIDE, OPERATOR)],
      ],
      { encoding: "utf8", timeout: 60_000 },
    );
    rmSync(folder, { recursive: true });
    seen = stdout + stderr;
  });

  test.each(CONNECTIONS.map(([from, to, ports, open, why]) => [why, from, to, ports, open] as const))(
    "%s",
    (_why, from, to, ports, open) => {
      for (const port of ports) expect(seen).toContain(`${from} -> ${to}:${port} ${open ? "open" : "closed"}\n`);
    },
  );
});

test("the host firewall names nobody who may change without the nodes: no operator, no neighbour, no interface", () => {
  const other = honeyduePlatform({ operators: ["198.51.100.9/32"], serverType: "cx43" });
  expect(hostFirewall(other)).toBe(rules);
  expect(rules).not.toMatch(/198\.51\.100|iifname "(?!lo")|oifname/);
});

test("the host firewall lets in the port of the edge, whichever it is", () => {
  expect(rules).toContain("tcp dport { 80, 443, 6443 } accept");
  const { edge, ...platform } = honeyduePlatform();
  const other = { ...edge, originPort: 8443, direct: { ...edge.direct, port: 8443 } };
  expect(hostFirewall({ ...platform, edge: other })).toContain("tcp dport { 80, 443, 6443, 8443 } accept");
});

test("knows of a tailnet only where there is one", () => {
  expect(rules).not.toContain("tailscale0");
  const lines = (text: string): string[] => text.split("\n");
  expect(lines(rulesWithTailnet).filter((line) => !lines(rules).includes(line))).toEqual([
    expect.stringMatching(/# The tailnet/),
    '    iifname "tailscale0" tcp dport 6443 accept',
    '    iifname "tailscale0" drop',
    expect.stringMatching(/# Pods have no business/),
    '    oifname "tailscale0" drop',
    '    iifname "tailscale0" drop',
    expect.stringMatching(/# This node answers/),
    '    oifname "tailscale0" ct state established,related accept',
    '    oifname "tailscale0" drop',
  ]);
});
