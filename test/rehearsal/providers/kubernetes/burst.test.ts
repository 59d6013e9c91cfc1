/** Many steps at once, as the engine runs them: one pool of connections, shared watches. */

import { createServer } from "node:net";
import { startControlPlane, HOST, type ControlPlane } from "../../../support/control-plane";
import { createKubernetesProvider } from "../../../../rehearsal/providers/kubernetes";
import { connect } from "node:net";
import { makeNamespace } from "./world";

const NAMESPACE = "burst";

let plane: ControlPlane;

beforeAll(async () => {
  plane = await startControlPlane();
  await makeNamespace(plane, NAMESPACE);
});

afterAll(() => plane?.stop());

test("forty Deployments are made ready and deleted at once over a small number of connections", async () => {
  let connections = 0;
  const [host = "", port = ""] = plane.server.split(":");
  const counter = createServer((client) => {
    connections += 1;
    const upstream = connect(Number(port), host);
    for (const socket of [client, upstream]) socket.on("error", () => socket.destroy());
    client.on("close", () => upstream.destroy());
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => counter.listen(0, HOST, resolve));
  const { port: counted } = counter.address() as { port: number };
  const provider = createKubernetesProvider();
  await provider.configure({ args: { kubeconfig: plane.kubeconfig({ server: `https://${HOST}:${counted}` }) }, log });

  const names = Array.from({ length: 40 }, (_unused, index) => `app-${index}`);
  const made = await Promise.all(
    names.map(async (name) => {
      const inputs = deployment(name);
      const { id, state } = await provider.create({ ...call(name), inputs, timeoutSeconds: 60, preview: false });
      return { name, id, state, inputs };
    }),
  );
  expect(made.map(({ id }) => id)).toEqual(names.map((name) => `${NAMESPACE}/${name}`));
  expect(made.map(({ state }) => (state["status"] as { readyReplicas?: number }).readyReplicas)).toEqual(
    names.map(() => 1),
  );

  await Promise.all(
    made.map(({ name, id, state, inputs }) =>
      provider.delete({ ...call(name), id, state, oldInputs: inputs, timeoutSeconds: 60 }),
    ),
  );
  const left = await plane.call("GET", `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`);
  expect(left["items"]).toEqual([]);
  // One for each step at the most busy moment, and five watches: not five watches for each step.
  expect(connections).toBeLessThanOrEqual(60);
  provider.close();
  counter.close();
});

const log = (): void => undefined;

const call = (name: string) => ({
  urn: `urn:pulumi:test::burst::kubernetes:apps/v1:Deployment::${name}`,
  type: "kubernetes:apps/v1:Deployment",
  name,
  signal: new AbortController().signal,
  log,
});

const deployment = (name: string) => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace: NAMESPACE },
  spec: {
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: "c", image: "registry.example/app:1" }] },
    },
  },
});
