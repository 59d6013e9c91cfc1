import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createMachines, type MachineEvent, type Machines } from "../../../rehearsal/machines";
import { KubernetesApi, type KubernetesObject } from "../../../rehearsal/k3s/kubernetes-api";
import { isSameProcess } from "../../../rehearsal/processes/identity";
import { type ClusterSecrets, makeAuthority, makeClient, makeClusterSecrets } from "./support/authorities";
import { machineTools } from "./support/tools";
import { renderUserData, testMachine, testNodes, userDataParts } from "./support/user-data";

const nodes = testNodes(21);
const [a, b, c] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]];
const MINUTE = 60_000;

let secrets: ClusterSecrets;
let machines: Machines;
let directory: string;
let events: MachineEvent[] = [];
let api: KubernetesApi;

const userData = (node: typeof a): string => renderUserData(userDataParts(secrets, node, nodes));
const eventsOf = (type: MachineEvent["type"]): MachineEvent[] => events.filter((event) => event.type === type);
const problemsOf = (id: number): readonly string[] | undefined =>
  events.flatMap((event) => (event.type === "failed" && event.machine.id === id ? [event.problems] : []))[0];
const readyNodes = (): string[] => events.flatMap((event) => (event.type === "node ready" ? [event.node] : []));

async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  seconds = 60,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await Promise.resolve(probe()).catch(() => undefined);
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline)
      throw new Error(
        `not within ${seconds} s: ${what}\n${[1, 2, 3].flatMap((id) => machines.console(id)).join("\n")}`,
      );
    await delay(50);
  }
}

const items = async (path: string): Promise<KubernetesObject[]> =>
  (await api.call<{ items: KubernetesObject[] }>("GET", path)).items;
const apply = (path: string, object: object): Promise<KubernetesObject> => api.apply(path, object, "test");
type Pod = KubernetesObject & { spec: { nodeName?: string }; status: { phase: string; podIP?: string } };
const runningPods = async (app: string): Promise<Pod[]> =>
  ((await items(`/api/v1/namespaces/test/pods?labelSelector=app%3D${app}`)) as Pod[]).filter(
    ({ status }) => status.phase === "Running",
  );

const container = {
  name: "main",
  image: "registry.example/app:1",
  resources: { requests: { cpu: "10m", memory: "16Mi" } },
};
const deployment = (name: string, replicas: number, spec: object = {}): object => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace: "test" },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [container], ...spec } },
  },
});

beforeAll(async () => {
  secrets = await makeClusterSecrets();
  directory = join(await mkdtemp(join(tmpdir(), "trivet-machines-")), "machines");
  machines = createMachines({ tools: await machineTools(), directory, onEvent: (event) => events.push(event) });
  const booted = Date.now();
  await Promise.all(nodes.map((node, index) => machines.powerOn(testMachine(index + 1, node, userData(node)))));
  // A call of the Hetzner API must not wait for the boot.
  expect(Date.now() - booted).toBeLessThan(1_000);
  await until("three nodes ready", () => readyNodes().length === 3);
  const client = await makeClient(secrets.authorities["client-ca"]);
  api = new KubernetesApi(`https://${a.publicAddress}:6443`, secrets.authorities["server-ca"].certificatePem, client);
  await apply("/api/v1/namespaces/test", { apiVersion: "v1", kind: "Namespace", metadata: { name: "test" } });
}, 4 * MINUTE);

afterAll(async () => {
  await api?.close();
  const register = join(directory, "processes.json");
  const { processes } = existsSync(register)
    ? (JSON.parse(readFileSync(register, "utf8")) as { processes: { pid: number; startTime: string }[] })
    : { processes: [] };
  await machines.close();
  await machines.close();
  // Asserted here, because only the very end shows it.
  expect(processes.filter(({ pid, startTime }) => isSameProcess(pid, startTime))).toEqual([]);
  expect(existsSync(directory)).toBe(false);
  await rm(dirname(directory), { recursive: true });
}, MINUTE);

test("the server with the lowest name initialises, the others join through it", () => {
  expect(eventsOf("control plane ready")).toMatchObject([{ machine: { name: "test-a" } }]);
  expect(eventsOf("failed")).toEqual([]);
  const lines = [1, 2, 3].flatMap((id) => machines.console(id));
  expect(lines.filter((line) => line.includes("initialising cluster test"))).toHaveLength(1);
  expect(lines.filter((line) => line.includes("relays to the API server on"))).toHaveLength(2);
  expect(machines.controlPlanes()).toMatchObject([{ cluster: "test" }]);
});

test("nodes carry what K3s gives them: labels, roles, addresses, size, pod range", async () => {
  const found = await items("/api/v1/nodes");
  expect(found.map(({ metadata }) => metadata.name)).toEqual(["a", "b", "c"]);
  const [node] = found as [KubernetesObject & { spec: Record<string, unknown>; status: Record<string, unknown> }];
  expect(node.metadata.labels).toEqual({
    "beta.kubernetes.io/arch": "amd64",
    "beta.kubernetes.io/instance-type": "k3s",
    "beta.kubernetes.io/os": "linux",
    "kubernetes.io/arch": "amd64",
    "kubernetes.io/hostname": "a",
    "kubernetes.io/os": "linux",
    "node-role.kubernetes.io/control-plane": "true",
    "node-role.kubernetes.io/etcd": "true",
    "node.kubernetes.io/instance-type": "k3s",
    "topology.kubernetes.io/region": "nbg1",
    "topology.kubernetes.io/zone": "nbg1",
    "trivet.example/definition": "abc",
  });
  expect(node.spec).toMatchObject({
    providerID: "k3s://a",
    podCIDR: expect.stringMatching(/^10\.42\.\d\.0\/24$/) as string,
  });
  expect(node.status).toMatchObject({
    addresses: [
      { type: "InternalIP", address: "10.0.1.11" },
      { type: "ExternalIP", address: "127.21.0.21" },
      { type: "Hostname", address: "a" },
    ],
    capacity: { cpu: "4", pods: "110" },
    nodeInfo: { kubeletVersion: "v1.36.4+k3s1", architecture: "amd64" },
  });
});

test("every server's address answers with a certificate that is valid for it", async () => {
  const client = await makeClient(secrets.authorities["client-ca"]);
  for (const { publicAddress } of nodes) {
    const own = new KubernetesApi(
      `https://${publicAddress}:6443`,
      secrets.authorities["server-ca"].certificatePem,
      client,
    );
    expect(await own.call("GET", "/version")).toMatchObject({
      gitVersion: expect.stringContaining("v1.36.4") as string,
    });
    await own.close();
  }
});

describe("who may come in", () => {
  const call = async (authorityPem: string, client?: { certificatePem: string; keyPem: string }): Promise<unknown> => {
    const own = new KubernetesApi(`https://${b.publicAddress}:6443`, authorityPem, client);
    try {
      return await own.call("GET", "/api/v1/namespaces");
    } finally {
      await own.close();
    }
  };
  test("a certificate of another authority is not", async () => {
    const stranger = await makeClient(await makeAuthority({ commonName: "stranger" }));
    await expect(call(secrets.authorities["server-ca"].certificatePem, stranger)).rejects.toMatchObject({
      status: 401,
    });
  });
  test("a certificate of the server authority is not", async () => {
    const client = await makeClient(secrets.authorities["server-ca"]);
    await expect(call(secrets.authorities["server-ca"].certificatePem, client)).rejects.toMatchObject({ status: 401 });
  });
  test("nobody without a certificate", async () => {
    await expect(call(secrets.authorities["server-ca"].certificatePem)).rejects.toMatchObject({ status: 401 });
  });
  test("a user without a role is known and refused", async () => {
    const client = await makeClient(secrets.authorities["client-ca"], "nobody", "nobodies");
    await expect(call(secrets.authorities["server-ca"].certificatePem, client)).rejects.toMatchObject({ status: 403 });
  });
  test("a client that trusts another authority does not trust this server", async () => {
    const other = await makeAuthority({ commonName: "other" });
    await expect(call(other.certificatePem)).rejects.toThrow(/certificate/);
  });
});

test("the admission configuration in the user-data is in force", async () => {
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "host" },
    spec: { hostNetwork: true, containers: [container] },
  };
  await expect(api.call("POST", "/api/v1/namespaces/test/pods", { body: pod })).rejects.toThrow(
    /violates PodSecurity "baseline:latest"/,
  );
});

test("Secrets lie encrypted in etcd", async () => {
  await apply("/api/v1/namespaces/test/secrets/sentinel", {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "sentinel", namespace: "test" },
    stringData: { value: "sentinel-7f3a" },
  });
  const { node } = machines.controlPlanes()[0]!;
  const id = nodes.findIndex(({ name }) => name === node) + 1;
  const member = join(directory, String(id), "root/var/lib/rancher/k3s/server/db/etcd/member");
  // The log has it at once, the database at its next commit.
  const data = Buffer.concat(readdirSync(join(member, "wal")).map((file) => readFileSync(join(member, "wal", file))));
  expect(data.includes("/registry/secrets/test/sentinel")).toBe(true);
  expect(data.includes("sentinel-7f3a")).toBe(false);
});

test("K3s' own parts are there: CoreDNS on its address, the default storage class", async () => {
  expect(await api.find("/api/v1/namespaces/kube-system/services/kube-dns")).toMatchObject({
    spec: { clusterIP: "10.43.0.10" },
  });
  expect(await api.find("/apis/storage.k8s.io/v1/storageclasses/local-path")).toMatchObject({
    provisioner: "rancher.io/local-path",
    volumeBindingMode: "WaitForFirstConsumer",
  });
  expect((await api.find("/api/v1/namespaces/kube-system/configmaps/coredns"))?.["data"]).toMatchObject({
    NodeHosts: "10.0.1.11 a\n10.0.1.12 b\n10.0.1.13 c\n",
  });
  await until("CoreDNS available", async () => {
    const dns = await api.find("/apis/apps/v1/namespaces/kube-system/deployments/coredns");
    return (dns?.["status"] as { availableReplicas?: number }).availableReplicas === 1;
  });
});

test(
  "a Deployment of three spreads over the nodes and runs, with addresses of their ranges",
  async () => {
    await apply("/apis/apps/v1/namespaces/test/deployments/web", deployment("web", 3));
    const pods = await until("three pods running", async () => {
      const running = await runningPods("web");
      return running.length === 3 && running;
    });
    expect(pods.map(({ spec }) => spec.nodeName).sort()).toEqual(["a", "b", "c"]);
    for (const { status } of pods) expect(status.podIP).toMatch(/^10\.42\.\d\.\d+$/);
  },
  MINUTE,
);

test(
  "a claim gets a volume on the node of its pod, and the volume goes when the claim goes",
  async () => {
    await apply("/api/v1/namespaces/test/persistentvolumeclaims/data", {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "data", namespace: "test" },
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    });
    const volumes = [{ name: "data", persistentVolumeClaim: { claimName: "data" } }];
    await apply("/apis/apps/v1/namespaces/test/deployments/store", deployment("store", 1, { volumes }));
    const [pod] = await until("the pod with a volume", async () => {
      const running = await runningPods("store");
      return running.length === 1 && running;
    });
    const claim = await api.find("/api/v1/namespaces/test/persistentvolumeclaims/data");
    expect(claim).toMatchObject({ spec: { storageClassName: "local-path" }, status: { phase: "Bound" } });
    const path = `/api/v1/persistentvolumes/pvc-${claim!.metadata.uid}`;
    expect(JSON.stringify(await api.find(path))).toContain(`"values":["${pod!.spec.nodeName}"]`);
    await api.call("DELETE", "/apis/apps/v1/namespaces/test/deployments/store");
    await api.call("DELETE", "/api/v1/namespaces/test/persistentvolumeclaims/data");
    await until("the volume is gone", async () => (await api.find(path)) === undefined);
  },
  MINUTE,
);

describe("Traefik's Ingress status (simulated)", () => {
  const ingress = (name: string, className?: string): Promise<KubernetesObject> =>
    apply(`/apis/networking.k8s.io/v1/namespaces/test/ingresses/${name}`, {
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: { name, namespace: "test" },
      spec: {
        ...(className ? { ingressClassName: className } : {}),
        rules: [
          {
            host: `${name}.example`,
            http: {
              paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: "web", port: { number: 80 } } } }],
            },
          },
        ],
      },
    });
  const address = async (name: string): Promise<unknown> =>
    (
      (await api.find(`/apis/networking.k8s.io/v1/namespaces/test/ingresses/${name}`))?.["status"] as {
        loadBalancer?: { ingress?: unknown };
      }
    ).loadBalancer?.ingress;
  const allConsoles = (): string => [1, 2, 3].flatMap((id) => machines.console(id)).join("\n");

  test(
    "is written once a pod runs, its account may, and its arguments name an address; only for its class",
    async () => {
      await apply("/apis/networking.k8s.io/v1/ingressclasses/traefik", {
        apiVersion: "networking.k8s.io/v1",
        kind: "IngressClass",
        metadata: { name: "traefik" },
        spec: { controller: "traefik.io/ingress-controller" },
      });
      await ingress("ours", "traefik");
      await ingress("theirs", "other");
      await apply("/api/v1/namespaces/test/serviceaccounts/traefik", {
        apiVersion: "v1",
        kind: "ServiceAccount",
        metadata: { name: "traefik", namespace: "test" },
      });
      const traefik = {
        serviceAccountName: "traefik",
        containers: [
          {
            ...container,
            image: "docker.io/library/traefik:v3.7.9",
            args: [
              "--providers.kubernetesIngress=true",
              "--providers.kubernetesIngress.ingressEndpoint.ip=198.51.100.7",
            ],
          },
        ],
      };
      await apply("/apis/apps/v1/namespaces/test/deployments/traefik", deployment("traefik", 1, traefik));
      // Its account has no role yet: as on a real cluster nothing is published, and somebody says why.
      await until("Traefik is refused", () => allConsoles().includes("cannot patch resource"), 20);
      expect(await address("ours")).toBeUndefined();

      await apply("/apis/rbac.authorization.k8s.io/v1/clusterroles/traefik", {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRole",
        metadata: { name: "traefik" },
        rules: [{ apiGroups: ["networking.k8s.io"], resources: ["ingresses/status"], verbs: ["update", "patch"] }],
      });
      await apply("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/traefik", {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRoleBinding",
        metadata: { name: "traefik" },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "traefik" },
        subjects: [{ kind: "ServiceAccount", name: "traefik", namespace: "test" }],
      });
      await until("the address is published", async () => (await address("ours")) !== undefined, 20);
      expect(await address("ours")).toEqual([{ ip: "198.51.100.7" }]);
      expect(await address("theirs")).toBeUndefined();
    },
    MINUTE,
  );
});

test(
  "a server that is switched off goes silent, and comes back as the node it was",
  async () => {
    const id = machines.controlPlanes()[0]!.node === "c" ? 2 : 3;
    const node = nodes[id - 1]!;
    const uid = (await api.find(`/api/v1/nodes/${node.name}`))!.metadata.uid;
    await machines.powerOff({ id });
    const refused = new Promise((resolve) =>
      connect(6443, node.publicAddress).once("error", (error) => resolve((error as NodeJS.ErrnoException).code)),
    );
    expect(await refused).toBe("ECONNREFUSED");
    const isReady = async (): Promise<string | undefined> =>
      (
        (await api.find(`/api/v1/nodes/${node.name}`))?.["status"] as { conditions: { type: string; status: string }[] }
      ).conditions.find(({ type }) => type === "Ready")?.status;
    // The user-data sets node-monitor-grace-period=16s; 40 s is Kubernetes' own.
    await until("the node is lost", async () => (await isReady()) === "Unknown", 35);
    events = [];
    await machines.powerOn(testMachine(id, node, "ignored: a server keeps its user-data until it is rebuilt"));
    await until("the node is ready again", () => readyNodes().includes(node.name));
    expect((await api.find(`/api/v1/nodes/${node.name}`))!.metadata.uid).toBe(uid);
  },
  2 * MINUTE,
);

test(
  "a rebuilt server is refused under its old name until its Node is deleted, as K3s does",
  async () => {
    const id = machines.controlPlanes()[0]!.node === "c" ? 2 : 3;
    const node = nodes[id - 1]!;
    await machines.rebuild(testMachine(id, node, userData(node)));
    events = [];
    await machines.powerOn(testMachine(id, node, userData(node)));
    await until("the password is refused", () =>
      machines.console(id).some((line) => line.includes("Node password rejected")),
    );
    await api.call("DELETE", `/api/v1/nodes/${node.name}`);
    await until("the node is ready", () => readyNodes().includes(node.name));
  },
  MINUTE,
);

test(
  "the server with the data reboots with its data, and everybody finds it again",
  async () => {
    const { node } = machines.controlPlanes()[0]!;
    const id = nodes.findIndex(({ name }) => name === node) + 1;
    await machines.powerOff({ id });
    expect(machines.controlPlanes()).toEqual([]);
    events = [];
    await machines.powerOn(testMachine(id, nodes[id - 1]!, userData(nodes[id - 1]!)));
    await until("the node is ready", () => readyNodes().includes(node));
    expect(eventsOf("failed")).toEqual([]);
    expect((await api.find("/api/v1/namespaces/test/secrets/sentinel"))?.["data"]).toEqual({
      value: Buffer.from("sentinel-7f3a").toString("base64"),
    });
    expect(await items("/api/v1/nodes")).toHaveLength(3);
  },
  MINUTE,
);

test(
  "a K3s that ends by itself is started again, as systemd does",
  async () => {
    const { node } = machines.controlPlanes()[0]!;
    const { processes } = JSON.parse(readFileSync(join(directory, "processes.json"), "utf8")) as {
      processes: { name: string; pid: number }[];
    };
    events = [];
    process.kill(processes.find(({ name }) => name === "kube-apiserver")!.pid, "SIGKILL");
    await until("the node is ready again", () => readyNodes().includes(node));
    expect(eventsOf("failed")).toEqual([]);
    expect(await api.find("/api/v1/namespaces/test/secrets/sentinel")).toBeDefined();
  },
  MINUTE,
);

test(
  "a server whose private network is attached while it runs waits for it",
  async () => {
    const id = 4;
    const node = { name: "d", publicAddress: "127.21.0.24", privateAddress: "10.0.1.14" };
    const machine = testMachine(id, node, renderUserData(userDataParts(secrets, node, [...nodes, node])));
    await machines.powerOn({ ...machine, privateNetworks: [] });
    await until("it waits", () =>
      machines.console(id).includes("boot script: waiting for an interface on the private network"),
    );
    await machines.interfacesChanged!(machine);
    await until("the node is ready", () => readyNodes().includes("d"));
    await machines.remove({ id });
    expect(machines.console(id)).toEqual([]);
    expect(existsSync(join(directory, String(id)))).toBe(false);
    // As in reality: the Node stays until somebody deletes it.
    expect(await api.find("/api/v1/nodes/d")).toBeDefined();
  },
  MINUTE,
);

test(
  "a bad argument of a component fails the boot with the component's own words",
  async () => {
    const id = 5;
    const node = { name: "a", publicAddress: "127.21.0.25", privateAddress: "10.0.1.15" };
    const parts = userDataParts(secrets, node, [node]);
    parts.nodeJson["cluster"] = "other";
    parts.k3s["kube-apiserver-arg"] = ["audit-log-max-age=30"];
    await machines.powerOn(testMachine(id, node, renderUserData(parts)));
    const problems = await until("it fails", () => problemsOf(id));
    expect(problems.join("\n")).toMatch(
      /kube-apiserver ended while it started\. End of its log:\nError: unknown flag: --audit-log-max-age/,
    );
    await machines.remove({ id });
  },
  MINUTE,
);

test(
  "an address that somebody else uses is named",
  async () => {
    const id = 6;
    const node = { name: "a", publicAddress: c.publicAddress, privateAddress: "10.0.1.16" };
    const parts = userDataParts(secrets, node, [node]);
    parts.nodeJson["cluster"] = "other";
    await machines.powerOn(testMachine(id, node, renderUserData(parts)));
    const problems = await until("it fails", () => problemsOf(id));
    expect(problems).toEqual([
      `${c.publicAddress}:6443 is in use by another process. Another rehearsal? End it, or choose other addresses.`,
    ]);
    await machines.remove({ id });
  },
  MINUTE,
);

test(
  "a new generation: rebuilt servers wait until all are rebuilt, then begin a new cluster under new authorities",
  async () => {
    const next = await makeClusterSecrets();
    const machineOf = (id: number) => {
      const parts = userDataParts(next, nodes[id - 1]!, nodes);
      parts.nodeJson["generation"] = 2;
      return testMachine(id, nodes[id - 1]!, renderUserData(parts));
    };
    const rebuild = async (id: number): Promise<void> => {
      await machines.rebuild(machineOf(id));
      await machines.powerOn(machineOf(id));
    };
    const oldUid = (await api.find("/api/v1/namespaces/kube-system"))!.metadata.uid;
    events = [];
    await Promise.all([rebuild(1), rebuild(2)]);
    await until("a waits for c", () =>
      machines.console(1).some((line) => line.includes("rendezvous: c: it is of generation 1, this server of 2")),
    );
    await rebuild(3);
    await until("three nodes ready", () => new Set(readyNodes()).size === 3);

    const url = `https://${a.publicAddress}:6443`;
    const fresh = new KubernetesApi(
      url,
      next.authorities["server-ca"].certificatePem,
      await makeClient(next.authorities["client-ca"]),
    );
    const uid = (await fresh.find("/api/v1/namespaces/kube-system"))!.metadata.uid;
    expect(uid).not.toBe(oldUid);
    expect(await fresh.find("/api/v1/namespaces/test")).toBeUndefined();
    await fresh.close();
    // The kubeconfig of the generation before trusts another authority, so it can do no harm here.
    const stale = new KubernetesApi(
      url,
      secrets.authorities["server-ca"].certificatePem,
      await makeClient(secrets.authorities["client-ca"]),
    );
    await expect(stale.call("GET", "/api/v1/namespaces")).rejects.toThrow(/certificate/);
    await stale.close();
  },
  2 * MINUTE,
);
