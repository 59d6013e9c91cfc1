import { normalise } from "../../../../rehearsal/providers/kubernetes/normalisation";
import { UNKNOWN } from "../../../../rehearsal/providers/protocol/provider";

const deployment = (podSpec: object, spec: object = {}): never =>
  ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "x" },
    spec: { ...spec, template: { spec: podSpec } },
  }) as never;

test("values that Go leaves out when they are zero are no difference to not giving them", () => {
  expect(
    normalise(deployment({ containers: [], hostNetwork: false, nodeSelector: {} }, { minReadySeconds: 0 })),
  ).toEqual(normalise(deployment({ containers: [] })));
});

test("values whose absence means something else are kept", () => {
  const kept = deployment({ containers: [], automountServiceAccountToken: false }, { replicas: 0 });
  expect(normalise(kept)).toEqual(kept);
});

test("quantities take one spelling, wherever they stand", () => {
  const container = (memory: unknown): object => ({ name: "c", resources: { limits: { memory } } });
  expect(normalise(deployment({ containers: [container("1024Mi")] }))).toEqual(
    deployment({ containers: [container("1Gi")] }),
  );
});

test("an object with a wrong type anywhere is left to the server to refuse", () => {
  const wrong = deployment({ containers: [{ name: "c", image: 5, colour: "red" }] });
  expect(normalise(wrong)).toEqual(wrong);
});

test("with an unknown value in it nothing is dropped", () => {
  const unknown = deployment({ containers: [{ name: "c", image: UNKNOWN, colour: "red" }] });
  expect(normalise(unknown)).toEqual(unknown);
});

test("a custom kind keeps all its fields", () => {
  const widget = { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "x" }, spec: { a: [], b: "" } };
  expect(normalise(widget)).toEqual(widget);
});
