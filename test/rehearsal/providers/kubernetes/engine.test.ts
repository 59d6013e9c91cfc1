/**
 * The stand-in under the real engine: what the recording's engine/lifecycle/basic and /partial-failure are about, in one
 * small program. The rest of engine/ is not replayed (unmet.ts).
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import { LocalWorkspace, PulumiCommand, type Stack, type UpResult } from "@pulumi/pulumi/automation";
import { engineEnvironment, installPlugins } from "../../../../rehearsal/plugins";
import { ensureTools } from "../../../../rehearsal/toolchain";
import { startControlPlane, type ControlPlane } from "../../../support/control-plane";

const NAMESPACE = "engine";
const SENTINEL = "sentinel-9c41";

let plane: ControlPlane;
let folder: string;
let stack: Stack;
/** What the program reads on its next run. */
const program = { data: "1", image: "registry.example/app:1", nodeSelector: {} as Record<string, string> };

const changes = ({ summary }: Pick<UpResult, "summary">): unknown => summary.resourceChanges;

beforeAll(async () => {
  plane = await startControlPlane();
  folder = mkdtempSync(join(tmpdir(), "trivet-kubernetes-engine-"));
  const [home, backend] = ["home", "backend"].map((name) => join(folder, name)) as [string, string];
  mkdirSync(backend);
  await installPlugins(home, ["pulumi-resource-kubernetes"]);
  const { pulumi } = await ensureTools(["pulumi"]);
  // The Automation API looks for `bin/pulumi` below a root.
  mkdirSync(join(folder, "bin"));
  symlinkSync(pulumi.path, join(folder, "bin", "pulumi"));
  const pulumiCommand = await PulumiCommand.get({ root: folder });
  const environment = engineEnvironment({ home, backend, passphrase: "test" });
  stack = await LocalWorkspace.createStack(
    {
      projectName: "kubernetes-stand-in",
      stackName: "test",
      program: async () => {
        const provider = new k8s.Provider("k8s", { kubeconfig: plane.kubeconfig() });
        const options = { provider };
        const namespace = new k8s.core.v1.Namespace("ns", { metadata: { name: NAMESPACE } }, options);
        const metadata = (name: string) => ({ name, namespace: namespace.metadata.name });
        new k8s.core.v1.ConfigMap("cm", { metadata: metadata("cm"), data: { a: program.data } }, options);
        new k8s.core.v1.Secret("secret", { metadata: metadata("secret"), stringData: { password: SENTINEL } }, options);
        const labels = { app: "dep" };
        new k8s.apps.v1.Deployment(
          "dep",
          {
            metadata: metadata("dep"),
            spec: {
              selector: { matchLabels: labels },
              template: {
                metadata: { labels },
                // Go leaves `hostNetwork: false` out, and writes 1024Mi as 1Gi: no difference at the second run.
                spec: {
                  hostNetwork: false,
                  nodeSelector: program.nodeSelector,
                  containers: [{ name: "c", image: program.image, resources: { limits: { memory: "1024Mi" } } }],
                },
              },
            },
          },
          { provider, customTimeouts: { create: "20s", update: "4s" } },
        );
        await Promise.resolve();
        return { replicas: 1 };
      },
    },
    { workDir: folder, pulumiHome: home, pulumiCommand, envVars: environment as Record<string, string> },
  );
});

afterAll(async () => {
  await plane?.stop();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

test("a preview makes nothing", async () => {
  const { changeSummary } = await stack.preview();
  expect(changeSummary).toEqual({ create: 6 });
  await expect(plane.call("GET", `/api/v1/namespaces/${NAMESPACE}`)).rejects.toThrow("404");
});

test("an up makes all, and a second one changes nothing", async () => {
  expect(changes(await stack.up())).toEqual({ create: 6 });
  expect(changes(await stack.up())).toEqual({ same: 6 });
  expect(await stack.refresh().then(changes)).toEqual({ same: 6 });
});

test("a Secret's value is nowhere in the state in plain text", () => {
  // An export would decrypt: this is what lies on disk.
  const backend = join(folder, "backend");
  const files = readdirSync(backend, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const state = files.map(({ parentPath, name }) => readFileSync(join(parentPath, name), "utf8")).join("\n");
  expect(state).toContain("kubernetes:core/v1:Secret::secret");
  expect(state).not.toContain(SENTINEL);
  expect(state).not.toContain(Buffer.from(SENTINEL).toString("base64"));
});

test("another image is an update, other data of a named ConfigMap a replacement", async () => {
  Object.assign(program, { image: "registry.example/app:2", data: "2" });
  expect(changes(await stack.up())).toEqual({ same: 4, update: 1, replace: 1 });
  const { data } = await plane.call("GET", `/api/v1/namespaces/${NAMESPACE}/configmaps/cm`);
  expect(data).toEqual({ a: "2" });
});

test("a rollout that never ends fails the up, is tried again, and is well once it is repaired", async () => {
  program.nodeSelector = { nowhere: "true" };
  await expect(stack.up()).rejects.toThrow("'dep' timed out waiting to be Ready");
  const again = await stack.preview();
  expect(again.changeSummary).toEqual({ same: 5, update: 1 });
  program.nodeSelector = {};
  expect(changes(await stack.up())).toEqual({ same: 5, update: 1 });
});

test("a destroy leaves nothing", async () => {
  expect(changes(await stack.destroy())).toEqual({ delete: 6 });
  await expect(plane.call("GET", `/api/v1/namespaces/${NAMESPACE}`)).rejects.toThrow("404");
});
