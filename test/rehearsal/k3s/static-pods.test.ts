import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { type K3sHost, ServerFiles, type StaticPodPlayer } from "../../../rehearsal/k3s";
import { type KubernetesApi, KubernetesApiError } from "../../../rehearsal/k3s/kubernetes-api";
import { startStaticPods } from "../../../rehearsal/k3s/nodes/static-pods";

const FOLDER = "var/lib/rancher/k3s/agent/pod-manifests";

describe("static pods of an emulated server", () => {
  let root: string;
  const said: string[] = [];
  const started: string[] = [];
  const stopped: string[] = [];
  beforeEach(() => {
    for (const list of [said, started, stopped]) list.length = 0;
    root = mkdtempSync(join(tmpdir(), "trivet-static-"));
    mkdirSync(join(root, FOLDER), { recursive: true });
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const write = (name: string, spec: object): void =>
    writeFileSync(
      join(root, FOLDER, `${name}.yaml`),
      stringify({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "kube-system" }, spec }),
    );
  const staticPods: StaticPodPlayer = {
    start: ({ metadata: { name } }) => {
      started.push(name);
      return Promise.resolve({ stop: () => Promise.resolve(void stopped.push(name)) });
    },
  };
  const host = () =>
    ({ files: new ServerFiles(root, join(root, "log")), staticPods, say: (line: string) => said.push(line) }) as unknown as K3sHost; // prettier-ignore
  /** Answers as an API server does to a kubelet; what it was given. */
  const apiThat = (refuses?: Error) => {
    const posted: { metadata: { name: string; annotations: Record<string, string>; ownerReferences: object[] }; spec: object }[] = []; // prettier-ignore
    const call = (method: string, _path: string, { body }: { body?: unknown } = {}): Promise<unknown> => {
      if (method === "GET") return Promise.resolve({ metadata: { uid: "node-uid" } });
      if (refuses) return Promise.reject(refuses);
      posted.push(body as (typeof posted)[number]);
      return Promise.resolve({});
    };
    return { api: { call, find: () => Promise.resolve(undefined) } as unknown as KubernetesApi, posted };
  };

  test("run, and are shown as mirror pods of their node, which the API server takes from its kubelet", async () => {
    write("door", { hostNetwork: true, containers: [] });
    const { api, posted } = apiThat();
    const running = await startStaticPods(host(), "honeydue-a", api);
    expect(started).toEqual(["door"]);
    expect(posted).toMatchObject([
      {
        metadata: {
          name: "door-honeydue-a",
          annotations: { "kubernetes.io/config.source": "file", "kubernetes.io/config.mirror": expect.any(String) as string }, // prettier-ignore
          ownerReferences: [{ kind: "Node", name: "honeydue-a", uid: "node-uid", controller: true }],
        },
        spec: { nodeName: "honeydue-a", hostNetwork: true },
      },
    ]);
    await running.stop("gently");
    expect(stopped).toEqual(["door"]);
  });

  test("run whether the API shows them or not", async () => {
    write("door", { containers: [] });
    await startStaticPods(host(), "honeydue-a", apiThat(new KubernetesApiError(403, "Forbidden", "not you")).api);
    expect(started).toEqual(["door"]);
    expect(said.join("\n")).toContain("Failed creating a mirror pod kube-system/door-honeydue-a: not you");
  });

  test.each([
    ["a service account", { containers: [], serviceAccountName: "door" }, "serviceAccountName"],
    ["a Secret", { containers: [], volumes: [{ name: "token", secret: { secretName: "token" } }] }, "the volume token"],
  ])("are not run where they ask the API for %s, as a kubelet refuses them", async (_, spec, what) => {
    write("door", spec);
    await startStaticPods(host(), "honeydue-a", apiThat().api);
    expect(started).toEqual([]);
    expect(said.join("\n")).toContain(what);
  });

  test("are none on a server without manifests", async () => {
    rmSync(join(root, FOLDER), { recursive: true });
    await startStaticPods(host(), "honeydue-a", apiThat().api);
    expect(started).toEqual([]);
  });
});
