/** Reads kubeconfigs: which cluster is meant, and how to reach it. */

import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { parse } from "yaml";
import { isObject, listAt, pluck, textAt, type Json, type JsonObject } from "./object";

export interface Kubeconfig {
  currentContext: string;
  clusters: Readonly<Record<string, JsonObject>>;
  contexts: Readonly<Record<string, JsonObject>>;
  users: Readonly<Record<string, JsonObject>>;
}

export interface KubeconfigOverrides {
  context?: string;
  cluster?: string;
}

/** All that is needed to call one API server. */
export interface ConnectionSettings {
  server: string;
  certificateAuthority?: string;
  skipTlsVerify: boolean;
  serverName?: string;
  clientCertificate?: string;
  clientKey?: string;
  /** The whole header, for example `Bearer t`. */
  authorization?: string;
  /** @default "default" */
  namespace: string;
}

export class KubeconfigError extends Error {}

const NO_KUBECONFIG: Kubeconfig = { currentContext: "", clusters: {}, contexts: {}, users: {} };

/** Go's words for a document that is no mapping: the real provider passes them on. */
const notAMapping = (found: string): string =>
  `couldn't get version/kind; json parse error: json: cannot unmarshal ${found} into Go value of type ` +
  'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';

const named = (document: JsonObject, list: string, part: string): Record<string, JsonObject> =>
  Object.fromEntries(
    listAt(document, list).flatMap((entry) => {
      const value = pluck(entry, part);
      return isObject(value) ? [[textAt(entry, "name"), value]] : [];
    }),
  );

/** YAML or JSON text. */
export const parseKubeconfig = (text: string): Kubeconfig => {
  let document: Json;
  try {
    document = parse(text) as Json;
  } catch (error) {
    throw new KubeconfigError(`yaml: ${(error as Error).message.split("\n")[0]}`);
  }
  if (document === null) return NO_KUBECONFIG;
  if (Array.isArray(document)) throw new KubeconfigError(notAMapping("array"));
  if (!isObject(document))
    throw new KubeconfigError(notAMapping(typeof document === "boolean" ? "bool" : typeof document));
  return {
    currentContext: textAt(document, "current-context"),
    clusters: named(document, "clusters", "cluster"),
    contexts: named(document, "contexts", "context"),
    users: named(document, "users", "user"),
  };
};

/** The `kubeconfig` option holds the text itself, the mapping itself, or the path of a file. */
export const kubeconfigFromOption = (option: Json): Kubeconfig => {
  if (isObject(option)) return parseKubeconfig(JSON.stringify(option));
  if (typeof option !== "string") throw new KubeconfigError(`unexpected kubeconfig format, type: ${typeof option}`);
  const path = option.startsWith("~/") ? join(homedir(), option.slice(2)) : option;
  const isPath = !option.includes("\n") && option.length < 4096 && existsSync(path);
  return parseKubeconfig(isPath ? readFileSync(path, "utf8") : option);
};

/** What kubectl would take: the files in KUBECONFIG (the first that names a thing wins), else ~/.kube/config. */
export const kubeconfigFromEnvironment = (environment: NodeJS.ProcessEnv): Kubeconfig => {
  const paths = environment["KUBECONFIG"]?.split(delimiter).filter(Boolean) ?? [
    join(environment["HOME"] ?? homedir(), ".kube", "config"),
  ];
  return paths
    .filter((path) => existsSync(path))
    .map((path) => parseKubeconfig(readFileSync(path, "utf8")))
    .reduce<Kubeconfig>(
      (merged, next) => ({
        currentContext: merged.currentContext || next.currentContext,
        clusters: { ...next.clusters, ...merged.clusters },
        contexts: { ...next.contexts, ...merged.contexts },
        users: { ...next.users, ...merged.users },
      }),
      NO_KUBECONFIG,
    );
};

/** The entry of the cluster that would be used; empty where there is none. */
export const activeCluster = (kubeconfig: Kubeconfig, overrides: KubeconfigOverrides): JsonObject => {
  const context = kubeconfig.contexts[overrides.context ?? kubeconfig.currentContext];
  if (context === undefined) return {};
  return kubeconfig.clusters[overrides.cluster ?? textAt(context, "cluster")] ?? {};
};

/** `<field>-data` holds base64, `<field>` the path of a file. */
const credential = (entry: JsonObject, field: string): string | undefined => {
  const data = textAt(entry, `${field}-data`);
  if (data !== "") return Buffer.from(data, "base64").toString("utf8");
  const path = textAt(entry, field);
  if (path === "") return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw new KubeconfigError(`unable to read ${field} ${path}: no such file or directory`);
  }
};

const authorizationOf = (user: JsonObject): string | undefined => {
  const tokenFile = textAt(user, "tokenFile");
  const token = tokenFile === "" ? textAt(user, "token") : readFileSync(tokenFile, "utf8").trim();
  if (token !== "") return `Bearer ${token}`;
  const username = textAt(user, "username");
  if (username !== "") return `Basic ${Buffer.from(`${username}:${textAt(user, "password")}`).toString("base64")}`;
  return undefined;
};

export const connectionSettings = (kubeconfig: Kubeconfig, overrides: KubeconfigOverrides): ConnectionSettings => {
  if (Object.keys(kubeconfig.clusters).length === 0)
    throw new KubeconfigError(
      "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable",
    );
  const contextName = overrides.context ?? kubeconfig.currentContext;
  const context = kubeconfig.contexts[contextName];
  if (context === undefined) throw new KubeconfigError(`context "${contextName}" does not exist`);
  const clusterName = overrides.cluster ?? textAt(context, "cluster");
  const cluster = kubeconfig.clusters[clusterName];
  if (cluster === undefined) throw new KubeconfigError(`cluster "${clusterName}" does not exist`);
  const user = kubeconfig.users[textAt(context, "user")] ?? {};
  for (const [entry, field] of [
    [user, "exec"],
    [user, "auth-provider"],
    [cluster, "proxy-url"],
  ] as const)
    if (entry[field] !== undefined)
      throw new KubeconfigError(`"${field}" is not supported by this stand-in: use a token or a client certificate`);

  const certificateAuthority = credential(cluster, "certificate-authority");
  const serverName = textAt(cluster, "tls-server-name");
  const clientCertificate = credential(user, "client-certificate");
  const clientKey = credential(user, "client-key");
  const authorization = authorizationOf(user);
  return {
    server: textAt(cluster, "server"),
    skipTlsVerify: cluster["insecure-skip-tls-verify"] === true,
    namespace: textAt(context, "namespace") || "default",
    ...(certificateAuthority === undefined ? {} : { certificateAuthority }),
    ...(serverName === "" ? {} : { serverName }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    ...(clientKey === undefined ? {} : { clientKey }),
    ...(authorization === undefined ? {} : { authorization }),
  };
};
