import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type BearerToken, type ClientCertificate, KubernetesApi, KubernetesApiError } from "../k3s/kubernetes-api";
import type { ProcessRegister } from "../k3s/processes";
import type { NodePlace } from "../wire/wire";
import type { Play, PlayedProcess } from "./play";
import { type Condition, type Container, fieldOf, type Pod } from "./pod";
import { followProbes } from "./probes";
import { contentsOf, PodVolumes } from "./volumes";

const COMPONENT = "app.kubernetes.io/component";
const MIRROR = "kubernetes.io/config.mirror";
const LIST_AGAIN_MILLISECONDS = 250;
const TRY_AGAIN_MILLISECONDS = 500;
/** A kubelet looks for changed objects about once a minute. */
const VOLUME_PERIOD_MILLISECONDS = 60_000;
/** Ten seconds, then twice as long each time, at most five minutes. The first restart is at once. */
const BACKOFF_SECONDS = { first: 10, most: 300 };
/** kwok gives its pods addresses from the beginning of the node's range, this one from the end. */
const FIRST_LAST_PART = 254;
const LAST_LAST_PART = 128;

export interface KubeletOptions {
  /** Where the API is, and the node's own kubelet certificate: it may do what a kubelet may, no more. */
  api: { url: string; authorityPem: string; client: ClientCertificate | BearerToken };
  place: NodePlace;
  /** The first that matches plays a pod. */
  plays: readonly Play[];
  /** Pods with one of these values of the label app.kubernetes.io/component; kwok leaves them alone (see kwok-stages.ts). */
  components: readonly string[];
  register: ProcessRegister;
  /** For the pods' files and logs. It is emptied at the start. */
  folder: string;
  say: (line: string) => void;
}

/**
 * A kubelet whose containers are processes: it starts what is placed on its node, gives it its files and variables, probes it, reports
 * what the probes say, starts again what ends, and lets what is deleted finish within its grace. Init containers and sidecars are not played.
 */
export class ProcessKubelet {
  readonly #options: KubeletOptions;
  readonly #api: KubernetesApi;
  readonly #pods = new Map<string, PlayedPod>();
  readonly #ended = new AbortController();
  readonly #following: Promise<void>;
  #range = "";

  constructor(options: KubeletOptions) {
    this.#options = options;
    const { url, authorityPem, client } = options.api;
    this.#api = new KubernetesApi(url, authorityPem, client);
    rmSync(options.folder, { recursive: true, force: true });
    mkdirSync(options.folder, { recursive: true, mode: 0o755 });
    this.#following = this.#follow();
  }

  /** A power cut: everything is gone at once, and nobody is told. */
  async close(): Promise<void> {
    this.#ended.abort();
    await Promise.all([...this.#pods.values()].map((pod) => pod.cut()));
    await this.#following;
    await this.#api.close();
  }

  async #follow(): Promise<void> {
    const { place, components } = this.#options;
    const { signal } = this.#ended;
    // The Node authorizer lets a kubelet see the pods of its own node, and only when it asks for just these.
    const query = new URLSearchParams({
      fieldSelector: `spec.nodeName=${place.name}`,
      labelSelector: `${COMPONENT} in (${components.join(",")})`,
    });
    const path = `/api/v1/pods?${query.toString()}`;
    while (!signal.aborted) {
      try {
        this.#range ||= await this.#podRange();
        const list = await this.#api.call<{ metadata: { resourceVersion: string }; items: Pod[] }>("GET", path, {
          signal,
        });
        const there = new Set(list.items.map(({ metadata }) => metadata.uid));
        for (const [uid, pod] of this.#pods) if (!there.has(uid)) this.#forget(uid, pod);
        for (const pod of list.items) this.#sync(pod);
        for await (const { type, object } of this.#api.changes(path, list.metadata.resourceVersion, signal)) {
          const pod = object as Pod;
          const known = this.#pods.get(pod.metadata.uid);
          if (type !== "DELETED") this.#sync(pod);
          else if (known) this.#forget(pod.metadata.uid, known);
        }
      } catch {
        // not there yet, restarting, or the version is too old: list again
      }
      await delay(LIST_AGAIN_MILLISECONDS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Of this node's pods, without its last part: `10.42.1.` */
  async #podRange(): Promise<string> {
    const node = await this.#api.call("GET", `/api/v1/nodes/${this.#options.place.name}`);
    const { podCIDR } = node["spec"] as { podCIDR?: string };
    if (podCIDR === undefined) throw new Error("the node has no pod range yet");
    return podCIDR.slice(0, podCIDR.split("/")[0]!.lastIndexOf(".") + 1);
  }

  #sync(pod: Pod): void {
    const { uid } = pod.metadata;
    // Only shows what somebody plays by the manifest on the node's disk (../k3s/nodes/static-pods.ts).
    if (pod.metadata.annotations?.[MIRROR] !== undefined) return;
    const known = this.#pods.get(uid);
    if (known) return known.update(pod);
    if (this.#ended.signal.aborted || pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed") return;
    const play = this.#options.plays.find((play) => play.matches(pod));
    if (!play) return this.#options.say(`kubelet: nobody plays the pod ${pod.metadata.name}: it stays Pending`);
    const podIP = pod.spec.hostNetwork ? this.#options.place.privateAddress : this.#freeAddress(pod);
    this.#pods.set(uid, new PlayedPod({ ...this.#options, kubernetes: this.#api, play, podIP }, pod));
  }

  #forget(uid: string, pod: PlayedPod): void {
    this.#pods.delete(uid);
    void pod.cut();
  }

  #freeAddress({ status }: Pod): string {
    const taken = new Set([...this.#pods.values()].map(({ podIP }) => podIP));
    if (status?.podIP?.startsWith(this.#range) && !taken.has(status.podIP)) return status.podIP;
    for (let last = FIRST_LAST_PART; last >= LAST_LAST_PART; last--)
      if (!taken.has(`${this.#range}${last}`)) return `${this.#range}${last}`;
    throw new Error(`no address is left on ${this.#options.place.name}`);
  }
}

type PlayedPodOptions = KubeletOptions & { kubernetes: KubernetesApi; play: Play; podIP: string };

interface Health {
  started: boolean;
  ready: boolean;
}

class PlayedPod {
  readonly podIP: string;
  readonly #options: PlayedPodOptions;
  readonly #volumes: PodVolumes;
  readonly #folder: string;
  readonly #ending = new AbortController();
  readonly #life: Promise<void>;
  readonly #health = new Map<string, Health>();
  #pod: Pod;
  #process: PlayedProcess | undefined;
  #restarts: number;
  #startedAt = "";
  #lastExit: { exitCode: number; finishedAt: string } | undefined;
  #reported = "";
  #reporting: Promise<void> = Promise.resolve();
  #isCut = false;

  constructor(options: PlayedPodOptions, pod: Pod) {
    this.#options = options;
    this.#pod = pod;
    this.podIP = options.podIP;
    this.#folder = join(options.folder, pod.metadata.uid);
    this.#volumes = new PodVolumes(options.kubernetes, pod, join(this.#folder, "volumes"), this.#addresses);
    // What ran before the node's power was cut begins anew.
    const before = pod.status?.containerStatuses?.[0]?.restartCount;
    this.#restarts = before === undefined || pod.status?.phase === "Pending" ? 0 : before + 1;
    this.#life = this.#live().catch((error: unknown) => this.#say((error as Error).message));
    this.update(pod);
  }

  update(pod: Pod): void {
    this.#pod = pod;
    if (pod.metadata.deletionTimestamp !== undefined && !this.#ending.signal.aborted) {
      this.#ending.abort();
      void this.#end(pod.metadata.deletionGracePeriodSeconds ?? 30);
    }
  }

  async cut(): Promise<void> {
    this.#isCut = true;
    this.#ending.abort();
    await this.#process?.stop(0);
    await this.#life;
    await this.#volumes.remove();
  }

  get #addresses(): { podIP: string; hostIP: string } {
    return { podIP: this.podIP, hostIP: this.#options.place.privateAddress };
  }

  #say(line: string): void {
    this.#options.say(`kubelet: ${this.#pod.metadata.name}: ${line}`);
  }

  async #live(): Promise<void> {
    const { signal } = this.#ending;
    const { play, place, register } = this.#options;
    const environment = await this.#prepare();
    for (let attempt = 0; environment && !signal.aborted; attempt++) {
      const folder = join(this.#folder, `${attempt}`);
      mkdirSync(folder, { recursive: true, mode: 0o755 });
      const { podIP } = this;
      const logFile = join(this.#options.folder, `${this.#pod.metadata.name}.log`);
      const stage = { pod: this.#pod, place, podIP, volumes: this.#volumes, environment, register, folder, logFile };
      this.#process = await play.start(stage);
      // Told to end while it began.
      if (signal.aborted) await this.#process.stop(0);
      this.#startedAt = new Date().toISOString();
      const running = new AbortController();
      const following = [this.#probe(this.#process, running.signal), this.#refresh(running.signal)];
      const code = await this.#process.ended;
      running.abort();
      await Promise.all(following);
      this.#health.clear();
      if (signal.aborted) return;
      this.#lastExit = { exitCode: code, finishedAt: new Date().toISOString() };
      const seconds = attempt === 0 ? 0 : Math.min(BACKOFF_SECONDS.first * 2 ** (attempt - 1), BACKOFF_SECONDS.most);
      this.#say(`ended with ${code}, starts again in ${seconds} s: ${this.#process.lastWords().join(" | ")}`);
      this.#restarts++;
      this.#report();
      await delay(seconds * 1000, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Waits until every object that the pod refers to is there. Undefined when the pod ends before that. */
  async #prepare(): Promise<Map<string, Record<string, string>> | undefined> {
    const { signal } = this.#ending;
    for (let last = "", told = ""; !signal.aborted;) {
      try {
        await this.#volumes.refresh();
        const environments = new Map<string, Record<string, string>>();
        for (const container of this.#pod.spec.containers)
          environments.set(container.name, await this.#environment(container));
        return environments;
      } catch (error) {
        const { message } = error as Error;
        // Once is nothing: the Node authorizer hears of a new pod a moment later than its kubelet.
        if (message === last && message !== told) this.#say(`waits: ${(told = message)}`);
        last = message;
        await delay(TRY_AGAIN_MILLISECONDS, undefined, { signal }).catch(() => undefined);
      }
    }
    return undefined;
  }

  async #environment(container: Container): Promise<Record<string, string>> {
    const { place, kubernetes } = this.#options;
    const variables: Record<string, string> = {
      HOSTNAME: this.#pod.spec.hostNetwork ? place.name : this.#pod.metadata.name,
      KUBERNETES_SERVICE_HOST: place.serviceAddress,
      KUBERNETES_SERVICE_PORT: "443",
    };
    for (const { name, value, valueFrom } of container.env ?? []) {
      const { fieldRef, secretKeyRef, configMapKeyRef } = valueFrom ?? {};
      const reference = secretKeyRef ?? configMapKeyRef;
      if (fieldRef) variables[name] = fieldOf(this.#pod, fieldRef.fieldPath, this.#addresses);
      else if (reference) {
        const kind = secretKeyRef ? "secrets" : "configmaps";
        const path = `/api/v1/namespaces/${this.#pod.metadata.namespace}/${kind}/${reference.name}`;
        const object = await kubernetes.find(path);
        const content = object && contentsOf(object, kind).get(reference.key);
        if (content) variables[name] = content.toString("utf8");
        else if (!reference.optional)
          throw new Error(`${kind.slice(0, -1)} "${reference.name}" has no key ${reference.key}`);
      } else if (valueFrom)
        throw new Error(`the variable ${name} comes from what the rehearsal's kubelet does not know`);
      else variables[name] = value ?? "";
    }
    return variables;
  }

  async #probe(process: PlayedProcess, signal: AbortSignal): Promise<void> {
    const { containers, terminationGracePeriodSeconds = 30 } = this.#pod.spec;
    for (const { name } of containers) this.#health.set(name, { started: false, ready: false });
    this.#report();
    await Promise.all(
      containers.map((container) => {
        const health = this.#health.get(container.name)!;
        return followProbes(container, this.podIP, signal, {
          started: () => {
            health.started = true;
            this.#report();
          },
          ready: (isReady) => {
            if (health.ready !== isReady) this.#say(isReady ? "is ready" : "is not ready");
            health.ready = isReady;
            this.#report();
          },
          dead: (reason) => {
            this.#say(reason);
            void process.stop(terminationGracePeriodSeconds);
          },
        });
      }),
    );
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(VOLUME_PERIOD_MILLISECONDS, undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await this.#volumes.refresh().catch((error: Error) => this.#say(error.message));
    }
  }

  /** preStop, SIGTERM, and when everything has ended the pod goes. All of it within the grace. */
  async #end(graceSeconds: number): Promise<void> {
    const deadline = Date.now() + graceSeconds * 1000;
    const left = (): number => Math.max(0, deadline - Date.now()) / 1000;
    const sleeps = this.#pod.spec.containers.map(({ lifecycle }) => lifecycle?.preStop?.sleep?.seconds ?? 0);
    if (this.#process) await delay(Math.min(Math.max(0, ...sleeps), left()) * 1000);
    await this.#process?.stop(left());
    await this.#life;
    await this.#reporting;
    const { namespace, name, uid } = this.#pod.metadata;
    while (!this.#isCut) {
      try {
        await this.#options.kubernetes.call("DELETE", `/api/v1/namespaces/${namespace}/pods/${name}`, {
          body: { apiVersion: "v1", kind: "DeleteOptions", gracePeriodSeconds: 0, preconditions: { uid } },
        });
        return;
      } catch (error) {
        if (error instanceof KubernetesApiError && (error.status === 404 || error.status === 409)) return;
        await delay(TRY_AGAIN_MILLISECONDS);
      }
    }
  }

  /** One report after the other; only the newest is worth sending. */
  #report(): void {
    this.#reporting = this.#reporting.then(async () => {
      while (!this.#isCut) {
        const status = this.#status();
        const text = JSON.stringify(status);
        if (text === this.#reported) return;
        const { namespace, name } = this.#pod.metadata;
        try {
          await this.#options.kubernetes.merge(`/api/v1/namespaces/${namespace}/pods/${name}/status`, { status });
          this.#reported = text;
          return;
        } catch (error) {
          if (error instanceof KubernetesApiError && (error.status === 404 || error.status === 409)) return;
          await delay(TRY_AGAIN_MILLISECONDS);
        }
      }
    });
  }

  #status(): object {
    const healths = [...this.#health.values()];
    const isReady = healths.length > 0 && healths.every(({ ready }) => ready);
    const { podIP, hostIP } = this.#addresses;
    return {
      phase: "Running",
      hostIP,
      hostIPs: [{ ip: hostIP }],
      podIP,
      podIPs: [{ ip: podIP }],
      startTime: this.#pod.status?.startTime ?? this.#startedAt,
      conditions: this.#conditions({
        PodReadyToStartContainers: true,
        Initialized: true,
        ContainersReady: isReady,
        Ready: isReady,
      }),
      containerStatuses: this.#pod.spec.containers.map(({ name, image }) => {
        const health = this.#health.get(name);
        return {
          name,
          image,
          imageID: image,
          containerID: `process://${this.#pod.metadata.uid}/${name}`,
          restartCount: this.#restarts,
          started: health?.started ?? false,
          ready: health?.ready ?? false,
          state: health
            ? { running: { startedAt: this.#startedAt }, waiting: null }
            : { waiting: { reason: "CrashLoopBackOff" }, running: null },
          ...(this.#lastExit
            ? {
                lastState: {
                  terminated: { ...this.#lastExit, reason: this.#lastExit.exitCode === 0 ? "Completed" : "Error" },
                },
              }
            : {}),
        };
      }),
    };
  }

  /** Those of others (PodScheduled, DisruptionTarget) stay. */
  #conditions(own: Readonly<Record<string, boolean>>): Condition[] {
    const before = this.#pod.status?.conditions ?? [];
    const lastTransitionTime = new Date().toISOString().replace(/\.\d+/, "");
    return [
      ...before.filter(({ type }) => !(type in own)),
      ...Object.entries(own).map(([type, value]) => {
        const status = value ? "True" : "False";
        const known = before.find((condition) => condition.type === type);
        return known?.status === status ? known : { type, status, lastTransitionTime };
      }),
    ];
  }
}
