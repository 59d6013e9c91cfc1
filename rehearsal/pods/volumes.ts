import { chmod, chown, mkdir, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { KubernetesApi, KubernetesObject } from "../k3s/kubernetes-api";
import { fieldOf, type Pod, type Volume } from "./pod";

const DEFAULT_MODE = 0o644;
/** As of the kubelet: asked again when this share of its life is over. */
const TOKEN_RENEWAL_SHARE = 0.8;

interface File {
  content: Buffer;
  mode: number;
}
type Files = Map<string, File>;

/**
 * The volumes of one pod as folders of this machine, laid out as a kubelet does: files are links into `..data`, which is a link to a
 * dated folder and changes in one step. `refresh` brings changed objects and a fresh token.
 */
export class PodVolumes {
  readonly #api: KubernetesApi;
  readonly #pod: Pod;
  readonly #folder: string;
  readonly #addresses: { podIP: string; hostIP: string };
  readonly #shown = new Map<string, string>();
  readonly #tokens = new Map<string, { value: string; renewAt: number }>();
  #version = 0;

  constructor(api: KubernetesApi, pod: Pod, folder: string, addresses: { podIP: string; hostIP: string }) {
    this.#api = api;
    this.#pod = pod;
    this.#folder = folder;
    this.#addresses = addresses;
  }

  /** Where a volume lies. */
  at(name: string): string {
    return join(this.#folder, name);
  }

  /** Throws when an object is missing that is not optional. */
  async refresh(): Promise<void> {
    for (const volume of this.#pod.spec.volumes ?? []) {
      await mkdir(this.at(volume.name), { recursive: true, mode: 0o755 });
      if (volume.emptyDir) await chmod(this.at(volume.name), 0o777);
      else await this.#show(volume.name, await this.#files(volume));
    }
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #files(volume: Volume): Promise<Files> {
    const { configMap, secret, downwardAPI, projected } = volume;
    if (configMap) return this.#keys("configmaps", configMap.name, configMap, configMap.defaultMode);
    if (secret) return this.#keys("secrets", secret.secretName, secret, secret.defaultMode);
    if (downwardAPI) return this.#fields(downwardAPI.items ?? [], downwardAPI.defaultMode);
    if (!projected)
      throw new Error(`the volume ${volume.name} is of a kind that the rehearsal's kubelet does not know`);
    const mode = projected.defaultMode;
    const files: Files = new Map();
    for (const source of projected.sources) {
      const { configMap, secret, downwardAPI, serviceAccountToken } = source;
      const found = configMap
        ? await this.#keys("configmaps", configMap.name, configMap, mode)
        : secret
          ? await this.#keys("secrets", secret.name, secret, mode)
          : downwardAPI
            ? this.#fields(downwardAPI.items ?? [], mode)
            : serviceAccountToken
              ? await this.#token(serviceAccountToken, mode)
              : undefined;
      if (!found) throw new Error(`a source of the volume ${volume.name} is not known to the rehearsal's kubelet`);
      for (const [path, file] of found) files.set(path, file);
    }
    return files;
  }

  async #keys(
    kind: "configmaps" | "secrets",
    name: string,
    { items, optional }: { items?: { key: string; path: string; mode?: number }[]; optional?: boolean },
    defaultMode = DEFAULT_MODE,
  ): Promise<Files> {
    const { namespace } = this.#pod.metadata;
    const object = await this.#api.find(`/api/v1/namespaces/${namespace}/${kind}/${name}`);
    if (!object) {
      if (optional) return new Map();
      throw new Error(`${kind.slice(0, -1)} "${name}" not found`);
    }
    const contents = contentsOf(object, kind);
    const chosen: NonNullable<typeof items> = items ?? [...contents.keys()].map((key) => ({ key, path: key }));
    const files: Files = new Map();
    for (const { key, path, mode = defaultMode } of chosen) {
      const content = contents.get(key);
      if (content) files.set(path, { content, mode });
      else if (!optional) throw new Error(`${kind.slice(0, -1)} "${name}" has no key ${key}`);
    }
    return files;
  }

  #fields(items: readonly { path: string; fieldRef?: { fieldPath: string } }[], mode = DEFAULT_MODE): Files {
    return new Map(
      items.map(({ path, fieldRef }) => {
        if (!fieldRef)
          throw new Error(`the file ${path} asks for resources, which the rehearsal's kubelet does not measure`);
        return [path, { content: Buffer.from(fieldOf(this.#pod, fieldRef.fieldPath, this.#addresses)), mode }] as const;
      }),
    );
  }

  /** A token of the pod's own account, bound to the pod: it ends with it. */
  async #token(
    { path, expirationSeconds = 3600, audience }: { path: string; expirationSeconds?: number; audience?: string },
    mode = DEFAULT_MODE,
  ): Promise<Files> {
    const { namespace, name, uid } = this.#pod.metadata;
    let token = this.#tokens.get(path);
    if (!token || Date.now() > token.renewAt) {
      const account = this.#pod.spec.serviceAccountName ?? "default";
      const { status } = (await this.#api.call(
        "POST",
        `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
        {
          body: {
            apiVersion: "authentication.k8s.io/v1",
            kind: "TokenRequest",
            spec: {
              ...(audience === undefined ? {} : { audiences: [audience] }),
              expirationSeconds,
              boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid },
            },
          },
        },
      )) as unknown as { status: { token: string; expirationTimestamp: string } };
      const life = Date.parse(status.expirationTimestamp) - Date.now();
      token = { value: status.token, renewAt: Date.now() + life * TOKEN_RENEWAL_SHARE };
      this.#tokens.set(path, token);
    }
    return new Map([[path, { content: Buffer.from(token.value), mode }]]);
  }

  async #show(name: string, files: Files): Promise<void> {
    const digest = JSON.stringify(
      [...files].map(([path, { content, mode }]) => [path, content.toString("base64"), mode]),
    );
    if (this.#shown.get(name) === digest) return;
    const folder = this.at(name);
    const version = `..${++this.#version}`;
    const { fsGroup } = this.#pod.spec.securityContext ?? {};
    for (const [path, { content, mode }] of files) {
      const target = join(folder, version, path);
      await mkdir(dirname(target), { recursive: true, mode: 0o755 });
      await writeFile(target, content, { mode: 0o600 });
      // A group that is not mapped in a user namespace cannot be given; everything runs as root there.
      if (fsGroup !== undefined) await chown(target, 0, fsGroup).catch(() => undefined);
      await chmod(target, fsGroup === undefined ? mode : mode | 0o040);
    }
    await mkdir(join(folder, version), { recursive: true });
    const before = await readlink(join(folder, "..data")).catch(() => undefined);
    await symlink(version, join(folder, "..new"));
    await rename(join(folder, "..new"), join(folder, "..data"));
    for (const path of files.keys()) {
      const [first = path] = path.split("/");
      await symlink(join("..data", first), join(folder, first)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
      });
    }
    if (before !== undefined) await rm(join(folder, before), { recursive: true, force: true });
    this.#shown.set(name, digest);
  }
}

export function contentsOf(object: KubernetesObject, kind: "configmaps" | "secrets"): Map<string, Buffer> {
  const { data = {}, binaryData = {} } = object as {
    data?: Record<string, string>;
    binaryData?: Record<string, string>;
  };
  const encoding = kind === "secrets" ? "base64" : "utf8";
  return new Map([
    ...Object.entries(data).map(([key, text]) => [key, Buffer.from(text, encoding)] as const),
    ...Object.entries(binaryData).map(([key, text]) => [key, Buffer.from(text, "base64")] as const),
  ]);
}
