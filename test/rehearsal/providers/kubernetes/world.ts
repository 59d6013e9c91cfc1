/** The cluster that the cases run in: what has to be there, and how to clear away what a case leaves. */

import type { ControlPlane } from "../../../support/control-plane";
import { isFields, type Fields } from "./recording";

const PLURALS: Readonly<Record<string, string>> = {
  Ingress: "ingresses",
  IngressClass: "ingressclasses",
  NetworkPolicy: "networkpolicies",
  PriorityClass: "priorityclasses",
  StorageClass: "storageclasses",
};

const CLUSTER_WIDE = new Set(["ClusterRole", "ClusterRoleBinding", "IngressClass", "Namespace", "PriorityClass", "StorageClass"]); // prettier-ignore

/** The path of an object, or of one of another name. */
export const pathOf = (object: Fields, name?: string): string => {
  const apiVersion = String(object["apiVersion"]);
  const kind = String(object["kind"]);
  const metadata = isFields(object["metadata"]) ? object["metadata"] : {};
  return [
    apiVersion.includes("/") ? "/apis" : "/api",
    apiVersion,
    ...(CLUSTER_WIDE.has(kind) ? [] : ["namespaces", String(metadata["namespace"])]),
    PLURALS[kind] ?? `${kind.toLowerCase()}s`,
    name ?? String(metadata["name"]),
  ].join("/");
};

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** An empty namespace need not wait 5 s for its controller. */
const finalise = async (plane: ControlPlane, path: string): Promise<void> => {
  const namespace = await plane.call("GET", path);
  await plane.call("PUT", `${path}/finalize`, { ...namespace, spec: { finalizers: [] } });
};

/** Deletes an object, without grace, and waits until it is gone. */
export const clear = async (plane: ControlPlane, path: string): Promise<void> => {
  const options = { apiVersion: "v1", kind: "DeleteOptions", propagationPolicy: "Background", gracePeriodSeconds: 0 };
  for (let attempt = 0; attempt < 200; attempt += 1) {
    try {
      await plane.call("DELETE", path, options);
      if (/^\/api\/v1\/namespaces\/[^/]+$/.test(path)) await finalise(plane, path);
    } catch (error) {
      const { message } = error as Error;
      if (message.includes(": 404 ")) return;
      // A namespace that is on its way out says so with a conflict.
      if (!message.includes(": 409 ")) throw error;
    }
    await sleep(50);
  }
  throw new Error(`${path} is still there`);
};

/** Waits until somebody has deleted an object. */
export const gone = async (plane: ControlPlane, path: string): Promise<void> => {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    try {
      await plane.call("GET", path);
    } catch (error) {
      if ((error as Error).message.includes(": 404 ")) return;
      throw error;
    }
    await sleep(50);
  }
  throw new Error(`${path} is still there`);
};

/** Server-side apply in the name of another manager. */
export const applyAs = (plane: ControlPlane, manager: string, object: Fields): Promise<unknown> =>
  plane.call("PATCH", `${pathOf(object)}?fieldManager=${manager}&force=true`, object, "application/apply-patch+yaml");

/** With an integer, and a text that has a default and cannot be changed. */
const WIDGETS = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "widgets.example.com" },
  spec: {
    group: "example.com",
    scope: "Namespaced",
    names: { plural: "widgets", singular: "widget", kind: "Widget", listKind: "WidgetList" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: {
                type: "object",
                properties: {
                  size: { type: "integer" },
                  frozen: {
                    type: "string",
                    default: "a",
                    "x-kubernetes-validations": [{ rule: "self == oldSelf", message: "frozen is immutable" }],
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
};

export const makeNamespace = async (plane: ControlPlane, name: string): Promise<void> => {
  await plane.call("POST", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name } });
  // No pod can be made before its account is there.
  for (let attempt = 0; attempt < 200; attempt += 1) {
    try {
      await plane.call("GET", `/api/v1/namespaces/${name}/serviceaccounts/default`);
      return;
    } catch {
      await sleep(50);
    }
  }
  throw new Error(`namespace ${name} has no default service account`);
};

export const makeWidgets = async (plane: ControlPlane): Promise<void> => {
  await plane.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", WIDGETS);
  for (let attempt = 0; attempt < 200; attempt += 1) {
    try {
      await plane.call("GET", "/apis/example.com/v1/namespaces/default/widgets");
      return;
    } catch {
      await sleep(50);
    }
  }
  throw new Error("widgets are not served");
};
