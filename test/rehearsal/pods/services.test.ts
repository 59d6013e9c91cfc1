import { type EndpointSlice, type Service, serviceTable } from "../../../rehearsal/pods/services";

const metadata = { name: "api", namespace: "farm" };
const service: Service = {
  apiVersion: "v1",
  kind: "Service",
  metadata,
  spec: { ports: [{ name: "http", port: 80 }, { name: "metrics", port: 9100 }, { name: "dns", port: 53, protocol: "UDP" }] }, // prettier-ignore
};
type Endpoint = NonNullable<EndpointSlice["endpoints"]>[number];
const slice = (name: string, endpoints: Endpoint[], of = "api", namespace = "farm"): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name, namespace, labels: { "kubernetes.io/service-name": of } },
  endpoints,
  ports: [{ name: "http", port: 8000 }],
});
const ready = (address: string): Endpoint => ({ addresses: [address], conditions: { ready: true, serving: true } });
const ending = (address: string): Endpoint => ({
  addresses: [address],
  conditions: { ready: false, serving: true, terminating: true },
});
const NAME = "api.farm.svc.cluster.local";

test("a Service's port leads to the target port of its ready endpoints, of all its slices and of no other's", () => {
  const slices = [
    slice("one", [ready("10.42.0.1"), { addresses: ["10.42.0.2"], conditions: { ready: false } }]),
    slice("two", [ready("10.42.1.1")]),
    slice("other", [ready("10.42.2.1")], "web"),
    slice("elsewhere", [ready("10.42.3.1")], "api", "honeydue"),
  ];
  expect(serviceTable([service], slices)).toEqual({
    [`${NAME}:80`]: ["10.42.0.1:8000", "10.42.1.1:8000"],
    // No slice has a port of this name.
    [`${NAME}:9100`]: [],
  });
});

test("while none is ready those that are ending go on; among ready ones they get nothing new", () => {
  expect(serviceTable([service], [slice("one", [ending("10.42.0.1")])])[`${NAME}:80`]).toEqual(["10.42.0.1:8000"]);
  const both = [slice("one", [ending("10.42.0.1"), ready("10.42.0.2")])];
  expect(serviceTable([service], both)[`${NAME}:80`]).toEqual(["10.42.0.2:8000"]);
});
