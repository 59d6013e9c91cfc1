import { ofKind, subjects } from "../../../rules/platforms.fixture";

const { manifests } = subjects[0]![1];
const policy = (name: string) =>
  ofKind<{ ingress?: { from: unknown[]; ports: unknown[] }[]; egress?: { to: unknown[]; ports: unknown[] }[] }>(
    manifests,
    "NetworkPolicy",
  ).find(({ metadata }) => metadata.name === name && metadata.namespace === "honeydue")!.spec;

test("all of the internet is one rule, with the ports of what is used", () => {
  const [internet] = policy("worker").egress!.filter(({ to }) => JSON.stringify(to).includes("0.0.0.0/0"));
  expect(internet).toEqual({
    to: [
      {
        ipBlock: {
          cidr: "0.0.0.0/0",
          except: ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"],
        },
      },
    ],
    ports: [
      { protocol: "TCP", port: 5432 },
      { protocol: "TCP", port: 443 },
      { protocol: "TCP", port: 587 },
    ],
  });
});

test("Traefik has no labels for a policy: its packets' addresses are named, for every pod range that a server may get, and for the three servers", () => {
  const [fromTraefik] = policy("web").ingress!;
  const blocks = (fromTraefik!.from as { ipBlock: { cidr: string } }[]).map(({ ipBlock }) => ipBlock.cidr);
  expect(blocks).toHaveLength(3 + 256);
  expect(blocks.slice(0, 4)).toEqual(["10.0.1.11/32", "10.0.1.12/32", "10.0.1.13/32", "10.42.0.0/32"]);
  expect(blocks.at(-1)).toBe("10.42.255.0/32");
});

test("a store lets in its users and opens nothing itself", () => {
  expect(policy("redis-cache")).toEqual({
    podSelector: { matchLabels: { "app.kubernetes.io/name": "redis-cache" } },
    policyTypes: ["Ingress", "Egress"],
    ingress: ["api", "worker"].map((name) => ({
      from: [{ podSelector: { matchLabels: { "app.kubernetes.io/name": name } } }],
      ports: [{ protocol: "TCP", port: 6379 }],
    })),
    egress: [],
  });
});

test("the Kubernetes API is a server's private address on 6443, never the Service's", () => {
  const text = JSON.stringify(manifests.filter(({ kind }) => kind === "NetworkPolicy"));
  expect(text).not.toContain("10.43.");
  expect(policy("vmagent").egress![0]).toEqual({
    to: [{ ipBlock: { cidr: "10.0.1.0/24" } }],
    ports: [{ protocol: "TCP", port: 6443 }],
  });
});
