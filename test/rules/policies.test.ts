import { type Endpoint, flows } from "../../model/flows";
import type { Platform } from "../../model/platform";
import { matches, ofKind, onServers, subjects } from "./platforms.fixture";
import { admits, type End, podsOf, type Policy } from "./policy-judge.fixture";

const kubeDns: End = {
  name: "kube-dns",
  address: "10.42.0.9",
  namespace: "kube-system",
  labels: { "k8s-app": "kube-dns" },
};
const stranger: End = { name: "stranger", address: "10.42.2.77", namespace: "default", labels: { app: "stranger" } };
const aServer = ({ cluster }: Platform): End => ({ name: "a server", address: cluster.servers.at(-1)!.privateAddress });

describe.each(subjects)("the policies of %s", (_, { platform, manifests }) => {
  const pods = podsOf(manifests);
  const pod = (name: string): End => pods.find((candidate) => candidate.name === name)!;
  const storePod = (name: string): string => platform.stores.find((store) => store.name === name)!.objectName;
  /** The pods that an end of a flow is; none for what is outside, or in the host's network. */
  const podNameOf = (end: Endpoint): string | undefined => {
    const name =
      end.kind === "workload"
        ? end.name
        : end.kind === "store"
          ? storePod(end.name)
          : end.kind === "connector"
            ? `${end.tunnel}-connector`
            : end.kind;
    return pods.some((candidate) => candidate.name === name) ? name : undefined;
  };
  /** What the metrics agent asks Traefik and connectors on the servers. */
  const isStatus = ({ name }: End, address: string, port: number): boolean =>
    name === "vmagent" &&
    (port === 9180 || port === 2000) &&
    platform.cluster.servers.some((one) => one.privateAddress === address);
  const PORTS = [
    ...new Set([
      ...flows(platform).map(({ port }) => port),
      53,
      80,
      443,
      587,
      2000,
      3000,
      5432,
      6379,
      6443,
      7844,
      8000,
      8080,
      8429,
      9180,
      10250,
    ]),
  ].sort((a, b) => a - b);

  test("exist for every pod, in both directions, over a default that denies", () => {
    for (const namespace of new Set([platform.ingressNamespace, ...pods.map((pod) => pod.namespace!)]))
      expect(
        ofKind<Policy>(manifests, "NetworkPolicy").find(
          ({ metadata, spec }) => metadata.namespace === namespace && Object.keys(spec.podSelector).length === 0,
        )?.spec,
      ).toEqual({ podSelector: {}, policyTypes: ["Ingress", "Egress"] });
    for (const { name, namespace, labels } of pods) {
      const own = ofKind<Policy>(manifests, "NetworkPolicy").filter(
        ({ metadata, spec }) =>
          metadata.name === name &&
          metadata.namespace === namespace &&
          matches(spec.podSelector.matchLabels ?? {}, labels!),
      );
      expect(own.map(({ spec }) => spec.policyTypes)).toEqual([["Ingress", "Egress"]]);
    }
  });

  test("let pods talk to each other exactly where a flow says so", () => {
    const declared = flows(platform).flatMap(({ from, to, port }) => {
      const [source, target] = [podNameOf(from), podNameOf(to)];
      return source === undefined || target === undefined ? [] : [`${source} -> ${target}:${port}`];
    });
    const open = pods.flatMap((from) =>
      pods.flatMap((to) =>
        PORTS.filter((port) => from !== to && admits(manifests, from, to, port, "TCP")).map(
          (port) => `${from.name} -> ${to.name}:${port}`,
        ),
      ),
    );
    expect(open.sort()).toEqual(declared.sort());
  });

  test("let in what runs on the servers where it has routes (Traefik, connectors that open the way to the API), from any server, also a replaced one", () => {
    const dialsFromServers = platform.edge.operators?.connector === "staticPod";
    const guarded = new Set(
      platform.edge.routes.filter(({ via }) => via === "operators").map(({ service }) => service),
    );
    const routed = new Set(platform.edge.routes.filter(({ via }) => via === "traefik").map(({ service }) => service));
    for (const { name, port } of platform.workloads) {
      if (port === undefined) continue;
      const { servers, agents } = platform.cluster;
      for (const address of [
        "10.42.0.0",
        "10.42.7.0",
        "10.42.255.0",
        ...servers.map((server) => server.privateAddress),
      ])
        expect([name, admits(manifests, { name: "traefik", address }, pod(name), port, "TCP")]).toEqual([
          name,
          (onServers(platform).length > 0 && routed.has(name)) || (dialsFromServers && guarded.has(name)),
        ]);
      for (const { privateAddress } of agents)
        expect(admits(manifests, { name: "agent", address: privateAddress }, pod(name), port, "TCP")).toBe(false);
      expect(admits(manifests, { name: "traefik", address: "10.42.0.0" }, pod(name), 9999, "TCP")).toBe(false);
    }
  });

  test("let Traefik out to namespaces of people's own, and nobody else to anywhere", () => {
    const { peoplesNamespaces, kind } = platform.ingress;
    for (const namespace of [...peoplesNamespaces, "default"])
      for (const from of pods)
        expect([
          from.name,
          namespace,
          admits(manifests, from, { ...stranger, name: "theirs", namespace }, 8080, "TCP"),
        ]).toEqual([
          from.name,
          namespace,
          kind === "deployment" && from.name === "traefik" && peoplesNamespaces.includes(namespace),
        ]);
  });

  test("let nobody else in", () => {
    const strangers: End[] = [
      stranger,
      { name: "some pod", address: "10.42.1.250" },
      { name: "internet", address: "198.51.100.9" },
    ];
    for (const from of strangers)
      for (const to of pods)
        for (const port of PORTS)
          expect([from.name, to.name, port, admits(manifests, from, to, port, "TCP")]).toEqual([
            from.name,
            to.name,
            port,
            false,
          ]);
  });

  test("let out to the internet only on the ports of what is used, and never to a private address or the metadata service", () => {
    const internet: End = { name: "internet", address: "198.51.100.9" };
    const closed = ["10.0.1.11", "10.42.9.9", "169.254.169.254", "172.16.5.5", "192.168.1.1", "100.64.0.1"];
    for (const from of pods) {
      const wanted = flows(platform)
        .filter(({ from: end, to }) => {
          const outside = ["external", "remoteWrite", "cloudflareEdge", "cloudflareAccess"];
          return podNameOf(end) === from.name && outside.includes(to.kind);
        })
        .map(({ port }) => port);
      expect([from.name, PORTS.filter((port) => admits(manifests, from, internet, port, "TCP"))]).toEqual([
        from.name,
        [...new Set(wanted)].sort((a, b) => a - b),
      ]);
      for (const address of closed)
        for (const port of PORTS.filter((candidate) => candidate !== 6443 && !isStatus(from, address, candidate)))
          expect([
            from.name,
            address,
            port,
            admits(manifests, from, { name: "private", address }, port, "TCP"),
          ]).toEqual([from.name, address, port, false]);
    }
  });

  test("let look up names whoever opens connections to one, and reach the Kubernetes API who reads it", () => {
    const asking = new Set(
      flows(platform)
        .filter(({ to }) => to.kind === "dns")
        .map(({ from }) => podNameOf(from)),
    );
    for (const from of pods) {
      expect([
        from.name,
        admits(manifests, from, kubeDns, 53, "UDP"),
        admits(manifests, from, kubeDns, 53, "TCP"),
      ]).toEqual([from.name, asking.has(from.name), asking.has(from.name)]);
      expect([from.name, admits(manifests, from, aServer(platform), 6443, "TCP")]).toEqual([
        from.name,
        ["vmagent", "traefik"].includes(from.name),
      ]);
    }
  });
});
