/**
 * What no rule of our own can know: whether a real API server takes every object as it is, to the last field, whether Pod Security
 * lets every pod in, and what the accounts of Traefik and vmagent may really do.
 */

import type { Manifest } from "../../components/charts";
import { type ControlPlane, startControlPlane } from "../support/control-plane";
import { onServers, subjects, workloadsIn } from "./platforms.fixture";

let plane: ControlPlane;

beforeAll(async () => {
  plane = await startControlPlane();
});

afterAll(() => plane?.stop());

const PLURALS: Readonly<Record<string, string>> = {
  Ingress: "ingresses",
  IngressClass: "ingressclasses",
  NetworkPolicy: "networkpolicies",
  PriorityClass: "priorityclasses",
};

const collectionOf = ({ apiVersion, kind, metadata: { namespace } }: Manifest): string =>
  [
    apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`,
    ...(namespace === undefined ? [] : ["namespaces", namespace]),
    PLURALS[kind] ?? `${kind.toLowerCase()}s`,
  ].join("/");

/** As Pulumi does: server-side, and a field that the server does not know is an error. */
const apply = (manifest: Manifest, dryRun: boolean): Promise<unknown> =>
  plane.call(
    "PATCH",
    `${collectionOf(manifest)}/${manifest.metadata.name}?fieldManager=trivet&force=true&fieldValidation=Strict${dryRun ? "&dryRun=All" : ""}`,
    manifest,
    "application/apply-patch+yaml",
  );

/** What others need to be there. */
const REAL = [
  "Namespace",
  "PriorityClass",
  "ServiceAccount",
  "ClusterRole",
  "ClusterRoleBinding",
  "Role",
  "RoleBinding",
];

const mayDo = async (
  account: string,
  verb: string,
  what: { group?: string; resource: string; subresource?: string; namespace?: string },
): Promise<boolean> => {
  const { status } = await plane.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    spec: {
      user: `system:serviceaccount:${account}`,
      groups: ["system:serviceaccounts", "system:authenticated"],
      resourceAttributes: { verb, ...what },
    },
  });
  return (status as { allowed: boolean }).allowed;
};

describe.each(subjects)("a real API server and %s", (_, { platform, manifests }) => {
  test("it takes every object, to the last field", async () => {
    for (const manifest of manifests) await apply(manifest, !REAL.includes(manifest.kind));
  });

  test("Pod Security lets every pod into its namespace", async () => {
    for (const { kind, name, namespace, labels, pod, spec } of workloadsIn(manifests)) {
      // What a StatefulSet's controller adds.
      const claims = ((spec["volumeClaimTemplates"] ?? []) as { metadata: { name: string } }[]).map(({ metadata }) => ({
        name: metadata.name,
        persistentVolumeClaim: { claimName: metadata.name },
      }));
      const made = await plane.call("POST", `/api/v1/namespaces/${namespace}/pods?dryRun=All&fieldValidation=Strict`, {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: `${name}-${kind.toLowerCase()}`, namespace, labels },
        spec: { ...pod, volumes: [...(pod.volumes ?? []), ...claims] },
      });
      expect(made).toMatchObject({ kind: "Pod" });
    }
  });

  test("Traefik reads what routes are made of where it serves, and nothing else anywhere", async () => {
    const { namespace, ingressNamespace, ingress } = platform;
    const networking = "networking.k8s.io";
    for (const name of new Set(["traefik", ...onServers(platform)])) {
      const account = `${ingressNamespace}:${name}`;
      for (const verb of ["get", "list", "watch"])
        for (const [wanted, what] of [
          [true, { group: networking, resource: "ingresses", namespace }],
          [true, { group: "discovery.k8s.io", resource: "endpointslices", namespace }],
          [true, { resource: "services", namespace }],
          [true, { resource: "secrets", namespace }],
          ...ingress.peoplesNamespaces.map((of) => [true, { resource: "secrets", namespace: of }] as const),
          [false, { resource: "secrets", namespace: "default" }],
          [true, { group: networking, resource: "ingressclasses" }],
          [true, { resource: "nodes" }],
          [false, { resource: "secrets", namespace: ingressNamespace }],
          [false, { resource: "secrets", namespace: "kube-system" }],
          [false, { resource: "pods", namespace }],
          [false, { resource: "configmaps", namespace }],
        ] as const)
          expect([name, verb, what, await mayDo(account, verb, what)]).toEqual([name, verb, what, wanted]);
      for (const verb of ["create", "update", "patch", "delete"])
        for (const what of [
          { group: networking, resource: "ingresses", namespace },
          { group: networking, resource: "ingresses", subresource: "status", namespace },
          { resource: "services", namespace },
          { resource: "secrets", namespace },
        ])
          expect([name, verb, what, await mayDo(account, verb, what)]).toEqual([name, verb, what, false]);
    }
  });

  test("connectors and workloads may do nothing", async () => {
    for (const { name, namespace, pod } of workloadsIn(manifests).filter(
      (one) => one.pod.automountServiceAccountToken !== true,
    ))
      for (const resource of ["pods", "secrets", "services"])
        expect([
          name,
          resource,
          await mayDo(`${namespace}:${pod.serviceAccountName}`, "list", { resource, namespace }),
        ]).toEqual([name, resource, false]);
  });
});
