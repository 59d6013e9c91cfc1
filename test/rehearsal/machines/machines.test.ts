import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import { type S3Emulator, startS3Emulator } from "../../../rehearsal/emulators/s3";
import { EtcdApi } from "../../../rehearsal/k3s/etcd/etcd-api";
import { KubernetesApi, type KubernetesObject } from "../../../rehearsal/k3s/kubernetes-api";
import { createMachines, type MachineEvent, type Machines } from "../../../rehearsal/machines";
import { isSameProcess } from "../../../rehearsal/processes/identity";
import { Agent, request } from "undici";
import { type ClusterSecrets, makeAuthority, makeClient, makeClusterSecrets } from "./support/authorities";
import { machineTools } from "./support/tools";
import {
  agentUserData,
  renderUserData,
  type TestAgent,
  testMachine,
  testNodes,
  type UserDataParts,
  userDataParts,
} from "./support/user-data";

const nodes = testNodes(21);
const [a, b, c] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]];

let secrets: ClusterSecrets;
let machines: Machines;
let directory: string;
let events: MachineEvent[] = [];
let api: KubernetesApi;

const agent: TestAgent = {
  name: "web-1",
  publicAddress: "127.50.0.24",
  privateAddress: "10.0.1.14",
  labels: ["trivet/pool=web"],
  taints: ["trivet/pool=web:NoSchedule"],
};
const BUCKET = { bucket: "snapshots", region: "nbg1", accessKeyId: "key", secretAccessKey: "secret-7f3a" };
let s3: S3Emulator;

/** `spoil` changes it before it is rendered. */
const userData = (node: typeof a, spoil: (parts: UserDataParts) => void = () => undefined): string => {
  const parts = userDataParts(secrets, node, nodes);
  Object.assign(parts.k3s, { "etcd-s3": true, "etcd-s3-config-secret": "etcd-snapshots" });
  parts.files.push({
    // The same at every boot, as the program's: a rebuilt or restored node is the one that registered.
    path: "/etc/rancher/node/password",
    permissions: "0600",
    content: `password-of-${node.name}`,
  });
  parts.files.push({
    path: "/etc/trivet/restore.yaml",
    permissions: "0600",
    content: stringify({ ...s3Options(), "etcd-s3": true }),
  });
  spoil(parts);
  return renderUserData(parts);
};
const s3Options = () => ({
  "etcd-s3-endpoint": s3.endpoint,
  "etcd-s3-insecure": "true",
  "etcd-s3-bucket": BUCKET.bucket,
  "etcd-s3-region": BUCKET.region,
  "etcd-s3-folder": "test-g1",
  "etcd-s3-access-key": BUCKET.accessKeyId,
  "etcd-s3-secret-key": BUCKET.secretAccessKey,
});
const powerOn = (...ids: number[]): Promise<unknown> =>
  Promise.all(ids.map((id) => machines.powerOn(testMachine(id, nodes[id - 1]!, userData(nodes[id - 1]!)))));
const rebuild = async (id: number, spoil?: (parts: UserDataParts) => void): Promise<void> => {
  const machine = testMachine(id, nodes[id - 1]!, userData(nodes[id - 1]!, spoil));
  await machines.rebuild(machine);
  await machines.powerOn(machine);
};
const says = (id: number, text: string): boolean => machines.console(id).some((line) => line.includes(text));
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
        `not within ${seconds} s: ${what}\n${[1, 2, 3, 4].flatMap((id) => machines.console(id).map((line) => `${id} ${line}`)).join("\n")}`,
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
  s3 = await startS3Emulator({ buckets: [BUCKET.bucket], keys: [BUCKET], region: BUCKET.region });
  machines = createMachines({ tools: await machineTools(), directory, onEvent: (event) => events.push(event) });
  // The one that will initialise comes last, and the agent before any server serves.
  await powerOn(3);
  await machines.powerOn({
    ...testMachine(4, agent, await agentUserData(secrets, agent, nodes)),
    privateNetworks: [],
  });
  await powerOn(2);
  await until("b and c wait", () => [2, 3].every((id) => says(id, "trivet: rendezvous: a: it does not answer")));
  expect(events.filter(({ type }) => type === "control plane ready")).toEqual([]);
  await powerOn(1);
  await until("three nodes ready", () => readyNodes().length === 3);
  const client = await makeClient(secrets.authorities["client-ca"]);
  api = new KubernetesApi(`https://${a.publicAddress}:6443`, secrets.authorities["server-ca"].certificatePem, client);
  await apply("/api/v1/namespaces/test", { apiVersion: "v1", kind: "Namespace", metadata: { name: "test" } });
});

afterAll(async () => {
  await api?.close();
  const register = join(directory, "processes.json");
  const { processes } = existsSync(register)
    ? (JSON.parse(readFileSync(register, "utf8")) as { processes: { pid: number; startTime: string }[] })
    : { processes: [] };
  await machines.close();
  await machines.close();
  await s3.close();
  // Asserted here, because only the very end shows it.
  expect(processes.filter(({ pid, startTime }) => isSameProcess(pid, startTime))).toEqual([]);
  expect(existsSync(directory)).toBe(false);
  await rm(dirname(directory), { recursive: true });
});

test("of servers that come in any order, the lowest name initialises and the others join it, each with a control plane", () => {
  expect(eventsOf("failed")).toEqual([]);
  expect(eventsOf("control plane ready").map(({ machine }) => machine.name)).toHaveLength(3);
  const lines = [1, 2, 3].flatMap((id) => machines.console(id));
  expect(lines.filter((line) => line.includes("initialising the cluster"))).toHaveLength(1);
  expect(says(1, "has the lowest name: initialising the cluster")).toBe(true);
  expect(lines.filter((line) => line.includes("joining through 10.0.1.11"))).toHaveLength(2);
  expect(new Map(machines.controlPlanes().map(({ node, url }) => [node, url]))).toEqual(
    new Map(nodes.map(({ name, publicAddress }) => [name, `https://${publicAddress}:6443`])),
  );
});

type Node = KubernetesObject & {
  metadata: { finalizers?: string[] };
  status: { conditions: { type: string; status: string; reason: string }[] };
};
const conditionOf = async (name: string, type: string): Promise<string | undefined> => {
  const node = (await api.find(`/api/v1/nodes/${name}`)) as Node | undefined;
  const found = node?.status.conditions.find((condition) => condition.type === type);
  return found && `${found.status}/${found.reason}`;
};
const isVoter = async (name: string): Promise<boolean> =>
  (await conditionOf(name, "EtcdIsVoter")) === "True/MemberNotLearner";

test("three real members form the quorum, joined one at a time, and their Nodes say so", async () => {
  const found = (await items("/api/v1/nodes?labelSelector=node-role.kubernetes.io%2Fetcd%3Dtrue")) as Node[];
  expect(found.map(({ metadata }) => metadata.name)).toEqual(["a", "b", "c"]);
  for (const { metadata } of found) {
    await until(`${metadata.name} votes`, () => isVoter(metadata.name));
    expect(metadata.annotations?.["etcd.k3s.cattle.io/node-name"]).toMatch(
      new RegExp(`^${metadata.name}-[0-9a-f]{8}$`),
    );
    await until(`${metadata.name} is held until its member is removed`, async () =>
      ((await api.find(`/api/v1/nodes/${metadata.name}`)) as Node).metadata.finalizers?.includes(
        "wrangler.cattle.io/managed-etcd-controller",
      ),
    );
  }
  expect(found.map(({ metadata }) => metadata.annotations?.["etcd.k3s.cattle.io/node-address"])).toEqual([
    "10.0.1.11",
    "10.0.1.12",
    "10.0.1.13",
  ]);
  // The second and the third came at the same time: one of them had to wait for the other.
  expect([2, 3].some((id) => says(id, "Waiting for other members to finish joining etcd cluster"))).toBe(true);
});

test("an agent waits for its network and for a server, then registers with its labels and taints, and has no control plane", async () => {
  expect(says(4, "trivet: network: waiting for an interface on the private network")).toBe(true);
  await machines.interfacesChanged!(testMachine(4, agent, "ignored"));
  await until("the agent is ready", () => readyNodes().includes("web-1"));
  const node = (await api.find("/api/v1/nodes/web-1")) as KubernetesObject & { spec: { taints?: unknown } };
  expect(node.metadata.labels).toMatchObject({ "trivet/pool": "web" });
  expect(node.metadata.labels).not.toHaveProperty(["node-role.kubernetes.io/etcd"]);
  expect(node.spec.taints).toContainEqual({ key: "trivet/pool", value: "web", effect: "NoSchedule" });
  expect(machines.controlPlanes().map(({ node }) => node)).not.toContain("web-1");
  await expect(
    new Promise((resolve, reject) => connect(6443, agent.publicAddress, () => resolve("open")).once("error", reject)),
  ).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

test("an agent with a wrong token is not let in, and says why on its API port, to the operator alone", async () => {
  const other = { ...agent, name: "web-2", publicAddress: "127.50.0.25", privateAddress: "10.0.1.15" };
  const data = await agentUserData({ ...secrets, agentToken: "wrong-wrong-wrong-wrong" }, other, nodes);
  await machines.powerOn(testMachine(5, other, data));
  await until("it waits", () => says(5, "no server serves: a: it does not know this server's token (401)"));
  const client = await makeClient(secrets.authorities["client-ca"]);
  const ask = async (own?: typeof client): Promise<{ status: number; body: unknown }> => {
    const connect = {
      ca: secrets.authorities["server-ca"].certificatePem,
      servername: "agent.trivet.internal",
      ...(own ? { cert: own.certificatePem, key: own.keyPem } : {}),
    };
    const dispatcher = new Agent({ connect });
    const response = await request(`https://${other.publicAddress}:6443/readyz`, { dispatcher });
    const body = await response.body.json();
    await dispatcher.close();
    return { status: response.statusCode, body };
  };
  expect(await ask(client)).toMatchObject({
    status: 503,
    body: { trivet: { node: "web-2", stage: "rendezvous", generation: 1, definition: "abc", fresh: true } },
  });
  expect(await ask()).toEqual({ status: 401, body: { error: "unauthorized" } });
  await machines.remove({ id: 5 });
  expect(machines.console(5)).toEqual([]);
  expect(existsSync(join(directory, "5"))).toBe(false);
  expect(await api.find("/api/v1/nodes/web-2")).toBeUndefined();
});

test("nodes carry what K3s gives them: labels, roles, addresses, size, pod range", async () => {
  const found = await items("/api/v1/nodes");
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
  const member = join(directory, "1/root/var/lib/rancher/k3s/server/db/etcd/member");
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
  await until("the nodes' names are published", async () => {
    const { NodeHosts } = (await api.find("/api/v1/namespaces/kube-system/configmaps/coredns"))?.["data"] as {
      NodeHosts?: string;
    };
    return NodeHosts === "10.0.1.11 a\n10.0.1.12 b\n10.0.1.13 c\n10.0.1.14 web-1\n";
  });
  await until("CoreDNS available", async () => {
    const dns = await api.find("/apis/apps/v1/namespaces/kube-system/deployments/coredns");
    return (dns?.["status"] as { availableReplicas?: number }).availableReplicas === 1;
  });
});

test("a Deployment of three spreads over the nodes and runs, with addresses of their ranges", async () => {
  await apply("/apis/apps/v1/namespaces/test/deployments/web", deployment("web", 3));
  const pods = await until("three pods running", async () => {
    const running = await runningPods("web");
    return running.length === 3 && running;
  });
  expect(pods.map(({ spec }) => spec.nodeName).sort()).toEqual(["a", "b", "c"]);
  for (const { status } of pods) expect(status.podIP).toMatch(/^10\.42\.\d\.\d+$/);
});

test("a claim gets a volume on the node of its pod, and the volume goes when the claim goes", async () => {
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
});

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

  test("is written once a pod runs, its account may, and its arguments name an address; only for its class", async () => {
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
          args: ["--providers.kubernetesIngress=true", "--providers.kubernetesIngress.ingressEndpoint.ip=198.51.100.7"],
        },
      ],
    };
    await apply("/apis/apps/v1/namespaces/test/deployments/traefik", deployment("traefik", 1, traefik));
    // Its account has no role yet: as on a real cluster nothing is published, and somebody says why.
    await until("Traefik is refused", () => allConsoles().includes("cannot patch resource"));
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
    await until("the address is published", async () => (await address("ours")) !== undefined);
    expect(await address("ours")).toEqual([{ ip: "198.51.100.7" }]);
    expect(await address("theirs")).toBeUndefined();
  });
});

test("a rebuilt server is refused while its member is still there; with its Node the member goes, and it joins anew", async () => {
  const before = (await api.find("/api/v1/nodes/b"))!;
  events = [];
  await rebuild(2);
  await until("it is refused", () =>
    problemsOf(2)?.includes("duplicate node name found, please use a unique name for this node"),
  );
  expect(await conditionOf("b", "EtcdIsVoter")).toBe("False/Unhealthy");
  await api.call("DELETE", "/api/v1/nodes/b");
  await until(
    "the Node is gone",
    async () => (await api.find("/api/v1/nodes/b"))?.metadata.uid !== before.metadata.uid,
  );
  await until("b is ready", () => readyNodes().includes("b"));
  await until("b votes", () => isVoter("b"));
  const after = (await api.find("/api/v1/nodes/b"))!;
  expect(after.metadata.annotations?.["etcd.k3s.cattle.io/node-name"]).not.toBe(
    before.metadata.annotations?.["etcd.k3s.cattle.io/node-name"],
  );
});

test("a member is removed by the annotation: the Node stays and says which, its K3s ends, and a rebuilt one comes back", async () => {
  const member = (await api.find("/api/v1/nodes/c"))!.metadata.annotations?.["etcd.k3s.cattle.io/node-name"];
  await api.merge("/api/v1/nodes/c", { metadata: { annotations: { "etcd.k3s.cattle.io/remove": "true" } } });
  await until("it is confirmed", async () => {
    const node = await api.find("/api/v1/nodes/c");
    return node?.metadata.annotations?.["etcd.k3s.cattle.io/removed-node-name"] === member;
  });
  await until("its K3s ends", () => says(3, "the member has been permanently removed from the cluster"));
  expect(await api.find("/api/v1/nodes/c")).toBeDefined();
  await api.call("DELETE", "/api/v1/nodes/c");
  events = [];
  await rebuild(3);
  await until("c is ready", () => readyNodes().includes("c"));
  await until("c votes", () => isVoter("c"));
  expect(eventsOf("failed")).toEqual([]);
});

test("an etcd leader that is shut down has handed its office over by the time it is off, and starts again with its data", async () => {
  const client = await makeClient(secrets.authorities["etcd/server-ca"]);
  const members = nodes.map(
    ({ publicAddress }) =>
      new EtcdApi(`https://${publicAddress}:2379`, secrets.authorities["etcd/server-ca"].certificatePem, client),
  );
  const leader = (): Promise<number> =>
    until("a leader", async () => {
      const found = await Promise.all(members.map((member) => member.status()));
      const index = found.findIndex((status) => status.leader === status.memberId);
      return index >= 0 && found.every((status) => status.leader === found[index]!.leader) && index + 1;
    });
  const id = await leader();
  const { memberId } = await members[id - 1]!.status();
  events = [];
  await machines.shutdown({ id });
  const others = await Promise.all(members.filter((_, index) => index + 1 !== id).map((member) => member.status()));
  expect(others.map((status) => status.leader)).toEqual([expect.stringMatching(/^[1-9]/), others[0]!.leader]);
  expect(others[0]!.leader).not.toBe(memberId);
  expect(machines.console(id).at(-1)).toBe("power off");
  await powerOn(id);
  await until("it is back", () => readyNodes().includes(nodes[id - 1]!.name));
  await until("it votes", () => isVoter(nodes[id - 1]!.name));
  expect(eventsOf("failed")).toEqual([]);
  await Promise.all(members.map((member) => member.close()));
});

describe("with b switched off", () => {
  let uid: string | undefined;
  let snapshot: string;
  beforeAll(async () => {
    uid = (await api.find("/api/v1/nodes/b"))!.metadata.uid;
    await machines.powerOff({ id: 2 });
  });

  test("its member counts as unhealthy, and its address is silent", async () => {
    await until("it is noticed", async () => (await conditionOf("b", "EtcdIsVoter")) === "False/Unhealthy");
    const refused = new Promise((resolve) =>
      connect(6443, b.publicAddress).once("error", (error) => resolve((error as NodeJS.ErrnoException).code)),
    );
    expect(await refused).toBe("ECONNREFUSED");
  });

  test("a snapshot goes to the bucket that a Secret names, with K3s' metadata and an object of the cluster", async () => {
    const data = { ...s3Options(), "etcd-s3-retention": "2" };
    await apply("/api/v1/namespaces/kube-system/secrets/etcd-snapshots", {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "etcd-snapshots", namespace: "kube-system" },
      type: "etcd.k3s.cattle.io/s3-config-secret",
      stringData: data,
    });
    snapshot = await machines.saveSnapshot(1);
    expect(snapshot).toMatch(/^on-demand-a-\d{10}$/);
    const [stored] = s3.objects(BUCKET.bucket);
    const clusterId = (await api.find("/api/v1/namespaces/kube-system"))!.metadata.uid;
    const password = secrets.token.split(":").at(-1)!;
    expect(stored).toMatchObject({
      key: `test-g1/${snapshot}`,
      headers: {
        "x-amz-meta-k3s-cluster-id": clusterId,
        "x-amz-meta-k3s-node-name": "a",
        "x-amz-meta-k3s-token-hash": createHash("sha256").update(password).digest("hex").slice(0, 12),
      },
    });
    // An API server that has just started may refuse an object once; K3s then tries again.
    const files = await until("it is recorded", async () => {
      const found = await items("/apis/k3s.cattle.io/v1/etcdsnapshotfiles");
      return found.length >= 2 && found;
    });
    expect(files.map(({ spec }) => spec)).toMatchObject([
      { snapshotName: snapshot, nodeName: "a", location: expect.stringMatching(/^file:/) as string },
      { snapshotName: snapshot, nodeName: "a", location: `s3://snapshots/test-g1/${snapshot}` },
    ]);
    expect(files[1]).toMatchObject({ status: { readyToUse: true, size: String(stored!.body.length) } });
    await apply("/api/v1/namespaces/test/configmaps/later", {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "later", namespace: "test" },
    });
  });

  test("a bad argument of a component fails the boot with the component's own words", async () => {
    const id = 5;
    const node = { name: "a", publicAddress: "127.50.0.25", privateAddress: "10.0.1.15" };
    const parts = userDataParts(secrets, node, [node]);
    parts.nodeJson["cluster"] = "other";
    parts.k3s["kube-apiserver-arg"] = ["audit-log-max-age=30"];
    await machines.powerOn(testMachine(id, node, renderUserData(parts)));
    const problems = await until("it fails", () => problemsOf(id));
    expect(problems.join("\n")).toMatch(
      /kube-apiserver ended while it started\. End of its log:\nError: unknown flag: --audit-log-max-age/,
    );
    await machines.remove({ id });
  });

  test("an address that somebody else uses is named", async () => {
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
  });

  test.each(["bad checksum", "mirror away", "clock behind"] as const)(
    "a boot that fails (%s) says so where the operator looks, and tries again",
    async (fault) => {
      const id = 7;
      const node = { name: "a", publicAddress: "127.50.0.27", privateAddress: "10.0.1.17" };
      await machines.powerOn({ ...testMachine(id, node, ""), privateNetworks: [] });
      machines.setFault(id, fault);
      await machines.rebuild(testMachine(id, node, renderUserData(userDataParts(secrets, node, [node]))));
      await machines.powerOn(testMachine(id, node, renderUserData(userDataParts(secrets, node, [node]))));
      await until("it fails", () => says(id, "trivet: failed: "));
      const client = await makeClient(secrets.authorities["client-ca"]);
      const own = new KubernetesApi(
        `https://${node.publicAddress}:6443`,
        secrets.authorities["server-ca"].certificatePem,
        client,
      );
      const answer: unknown = await own.call("GET", "/readyz").catch((error: unknown) => error);
      await own.close();
      expect(answer).toMatchObject({ status: 503, message: expect.stringContaining('"stage":"failed"') as string });
      await machines.remove({ id });
    },
  );
  test(
    "its Node is lost when the grace period of the user-data is over",
    // node-monitor-grace-period=16s; 40 s is Kubernetes' own.
    () => until("the node is lost", async () => (await conditionOf("b", "Ready"))?.startsWith("Unknown"), 35),
  );

  test("and with c off too, the API server that is left is not ready, until they are back with what they had", async () => {
    await machines.powerOff({ id: 3 });
    await until("a is not ready", async () => !(await api.ready()));
    await expect(api.call("GET", "/readyz/etcd", { signal: AbortSignal.timeout(10_000) })).rejects.toThrow();
    events = [];
    await Promise.all(
      [2, 3].map((id) =>
        machines.powerOn(testMachine(id, nodes[id - 1]!, "ignored: a server keeps its user-data until it is rebuilt")),
      ),
    );
    await until("b and c are ready", () => ["b", "c"].every((name) => readyNodes().includes(name)));
    for (const id of [2, 3])
      expect(says(id, "trivet: start: K3s has data here: it starts with what it has")).toBe(true);
    await until("all vote", async () => (await Promise.all(["a", "b", "c"].map(isVoter))).every(Boolean));
    expect((await api.find("/api/v1/nodes/b"))!.metadata.uid).toBe(uid);
    expect((await api.find("/api/v1/namespaces/test/secrets/sentinel"))?.["data"]).toEqual({
      value: Buffer.from("sentinel-7f3a").toString("base64"),
    });
  });

  test("all three lost, they begin again from the snapshot: what it holds is there, what came later is not", async () => {
    await Promise.all([1, 2, 3].map((id) => machines.powerOff({ id })));
    events = [];
    await Promise.all([1, 2, 3].map((id) => rebuild(id, (parts) => void (parts.nodeJson["restore"] = snapshot))));
    await until("three nodes ready", () => new Set(readyNodes()).size === 3);
    expect(
      says(1, `trivet: restore: all servers are fresh and this one has the lowest name: restoring ${snapshot}`),
    ).toBe(true);
    expect(says(1, "trivet: k3s: Managed etcd cluster membership has been reset")).toBe(true);
    expect(await api.find("/api/v1/namespaces/test/secrets/sentinel")).toBeDefined();
    expect(await api.find("/api/v1/namespaces/test/configmaps/later")).toBeUndefined();
    await until("all vote", async () => (await Promise.all(["a", "b", "c"].map(isVoter))).every(Boolean));
    await until("the agent is still there", async () => (await conditionOf("web-1", "Ready"))?.startsWith("True"));
  });
});

test("rebuilt with new authorities, servers never join or replace the cluster that is still there", async () => {
  secrets = await makeClusterSecrets();
  await Promise.all([1, 2].map((id) => rebuild(id, (parts) => void (parts.nodeJson["generation"] = 2))));
  await until("both wait for c", () =>
    [1, 2].every((id) => says(id, "trivet: rendezvous: c: its certificate is not of this cluster")),
  );
});
