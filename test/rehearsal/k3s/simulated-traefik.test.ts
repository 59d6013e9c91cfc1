import {
  flattenArguments,
  flattenYaml,
  type Ingress,
  isServed,
} from "../../../rehearsal/k3s/control-plane/simulated-traefik";

const ingress = (spec: Ingress["spec"], annotations: Record<string, string> = {}, namespace = "apps"): Ingress => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "Ingress",
  metadata: { name: "x", namespace, annotations },
  spec,
});
const OLD = "kubernetes.io/ingress.class";
const classes = new Set(["traefik", "internal"]);
const option = (name: string, value: string) => new Map([[`providers.kubernetesingress.${name}`, value]]);

describe("Traefik serves an Ingress", () => {
  test.each<[string, Ingress, ReadonlyMap<string, string>, boolean]>([
    ["of a class of its controller", ingress({ ingressClassName: "internal" }), new Map(), true],
    ["but not of another controller's class", ingress({ ingressClassName: "nginx" }), new Map(), false],
    ["of the one class it was told", ingress({ ingressClassName: "traefik" }), option("ingressclass", "traefik"), true],
    ["but then of no other", ingress({ ingressClassName: "internal" }), option("ingressclass", "traefik"), false],
    ["without any class, as long as it was told none", ingress({}), new Map(), true],
    ["without any class, but not when it was told one", ingress({}), option("ingressclass", "traefik"), false],
    ["of the old annotation", ingress({}, { [OLD]: "traefik" }), new Map(), true],
    ["but not of another's annotation", ingress({}, { [OLD]: "nginx" }), new Map(), false],
    ["in a namespace that it watches", ingress({}, {}, "apps"), option("namespaces", "web,apps"), true],
    ["but in no other", ingress({}, {}, "apps"), option("namespaces", "web"), false],
  ])("%s", (_, object, config, expected) => {
    expect(isServed(object, config, classes)).toBe(expected);
  });
});

test("static configuration reads the same from arguments and from a file, whatever the case of letters", () => {
  const fromArguments = flattenArguments([
    "--providers.kubernetesIngress=true",
    "--providers.kubernetesIngress.ingressEndpoint.ip",
    "198.51.100.7",
    "--providers.kubernetesingress.namespaces=web,apps",
    "--ping",
  ]);
  const fromFile = flattenYaml(
    "providers: { kubernetesIngress: { ingressEndpoint: { ip: 198.51.100.7 }, namespaces: [web, apps] } }\nping: true",
  );
  for (const [name, value] of Object.entries({
    "providers.kubernetesingress.ingressendpoint.ip": "198.51.100.7",
    "providers.kubernetesingress.namespaces": "web,apps",
    ping: "true",
  })) {
    expect(fromArguments.get(name)).toBe(value);
    expect(fromFile.get(name)).toBe(value);
  }
  expect(fromFile.has("providers.kubernetesingress")).toBe(true);
});
