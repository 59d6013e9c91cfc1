/**
 * The kubernetes provider, as Pulumi's own (4.33) behaves: one engine call a method. What it answered to some hundred
 * inputs and changes is recorded in test/fixtures/contracts/kubernetes.json.
 */

import type {
  CheckCall, CheckResult, ConfigCall, ConfigureCall, CreateCall, DeleteCall, DiffCall, DiffResult, PropertyMap, Provider,
  ReadCall, ReadResult, ResourceCall, StateResult, UpdateCall,
} from "../protocol/provider"; // prettier-ignore
import { AUTONAMED, hasManagedBy, isInternal, isTrue, REPLACE_UNREADY, setManagedBy } from "./annotations";
import { isJobComplete } from "./await/job";
import { readCheckpoint } from "./checkpoint";
import { makeClock, type Clock } from "./clock";
import { Cluster } from "./cluster";
import { apiVersionWarning } from "./deprecations";
import { detailedDiff, withoutIgnored } from "./diff";
import {
  connectionSettings,
  kubeconfigFromEnvironment,
  kubeconfigFromOption,
  type ConnectionSettings,
  type Kubeconfig,
} from "./kubeconfig";
import { adoptName, assignName, isGenerated, isNamed } from "./naming";
import { normalise } from "./normalisation";
import { apiVersionOfGvk, gvkOf, gvkOfToken, isObject, isPatchResource, kindOf, nameOf, namespaceOf, pluck, setAt, type JsonObject } from "./object"; // prettier-ignore
import { readOptions, type ProviderOptions } from "./options";
import { markSecrets, toJsonObject, toProperties } from "./properties";
import { checkConfig, diffConfig } from "./provider-config";
import { pruneObject } from "./prune";
import { read, remove } from "./read";
import { identityRules, replaceRules } from "./replace-rules";
import { isNamespaced } from "./scope";
import { create, update, type Target } from "./write";

/**
 * The release of @pulumi/kubernetes whose provider it stands in for: the engine warns of any other. The behaviour is that
 * of 4.33.0, the last one that could be recorded.
 */
const VERSION = "4.34.2";

/**
 * Aborts when the engine cancels, not when the call's time limit passes: each wait keeps its limit itself, says what was
 * missing when it is over, and a claim's wait has a limit that no program can change.
 */
const cancelledBy = (signal: AbortSignal): AbortSignal => {
  const cancellation = new AbortController();
  const stop = (): void => {
    if ((signal.reason as Error | undefined)?.name !== "TimeoutError") cancellation.abort(signal.reason);
  };
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  return cancellation.signal;
};

const REMOVE_FROM_STATE =
  "If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the operation with the " +
  'PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"';

const DELETED_FROM_STATE =
  "configured Kubernetes cluster is unreachable and the `deleteUnreachable` option is enabled. Deleting the unreachable " +
  "resource from Pulumi state";

const NO_CLIENT_CONFIGURATION =
  "unable to load Kubernetes client configuration from kubeconfig file. Make sure you have: \n\n \t • set up the " +
  "provider as per https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/ \n\n";

export interface KubernetesProviderSettings {
  /** @default the process's environment */
  environment?: NodeJS.ProcessEnv;
  /** @default the wall's clock */
  clock?: Clock;
}

export class KubernetesProvider implements Provider {
  readonly name = "kubernetes";
  readonly version = VERSION;
  private readonly environment: NodeJS.ProcessEnv;
  private readonly clock: Clock;
  private options: ProviderOptions;
  private cluster: Cluster | undefined;
  /** Why the cluster cannot be used; set once, when the provider is configured. */
  private unreachable: string | undefined = "the provider is not configured";
  /** Empty where no kubeconfig could be read: inputs then stay without a namespace. */
  private defaultNamespace = "";

  constructor({ environment = process.env, clock = makeClock() }: KubernetesProviderSettings = {}) {
    this.environment = environment;
    this.clock = clock;
    this.options = readOptions({}, environment);
  }

  checkConfig(call: ConfigCall): Promise<CheckResult> {
    return Promise.resolve(checkConfig(call));
  }

  diffConfig(call: ConfigCall): Promise<DiffResult> {
    return Promise.resolve().then(() => diffConfig(call));
  }

  /** Never fails: a cluster that cannot be used is noted, and each operation says so. */
  async configure({ args }: ConfigureCall): Promise<void> {
    this.options = readOptions(args, this.environment);
    this.close();
    this.defaultNamespace = "";
    this.unreachable = undefined;
    let cluster: Cluster;
    try {
      cluster = new Cluster(this.settings(), this.clock);
    } catch (error) {
      this.unreachable = (error as Error).message;
      return;
    }
    this.defaultNamespace = this.options.namespace ?? cluster.connection.namespace;
    try {
      await cluster.probe();
      this.cluster = cluster;
    } catch (error) {
      cluster.close();
      this.unreachable = `unable to load schema information from the API server: ${(error as Error).message}`;
    }
  }

  async check(call: CheckCall): Promise<CheckResult> {
    const { options } = this;
    if (this.unreachable !== undefined && options.skipUpdateUnreachable) {
      call.log("warning", "Cluster is unreachable but skipUpdateUnreachable flag is set to true, skipping...");
      return { inputs: call.olds };
    }
    const isPatch = isPatchResource(call.type, kindOf(toJsonObject(call.news)));
    if (isPatch && !options.enableServerSideApply)
      throw new Error(
        "patch resources require Server-Side Apply mode, which is enabled using the `enableServerSideApply` Provider config",
      );
    const inputs = normalise(toJsonObject(call.news));
    const olds = toJsonObject(call.olds);
    if (isPatch && !isNamed(inputs)) throw new Error("patch resources require the `.metadata.name` field to be set");
    if (kindOf(inputs).endsWith("List") && Array.isArray(inputs["items"]))
      throw new Error(
        "list resources exist for compatibility with YAML manifests and Helm charts, and cannot be created directly. " +
          "Use the underlying resource type instead",
      );
    this.warnAboutAnnotations(call, inputs);

    const isNew = Object.keys(olds).length === 0;
    if (isNew) assignName(inputs, call.name, call.randomSeed);
    else adoptName(inputs, olds);
    // Client-side apply has no record of who manages what, so a label tells.
    if (isNew ? !options.enableServerSideApply : hasManagedBy(olds)) setManagedBy(inputs);
    if (isGenerated(inputs) && options.enableServerSideApply)
      throw new Error("the `.metadata.generateName` field is not supported in Server-Side Apply mode");

    const gvk = gvkOfToken(call.type);
    if (this.cluster !== undefined && !options.suppressDeprecationWarnings) {
      const warning = apiVersionWarning(`${apiVersionOfGvk(gvk)}/${gvk.kind}`);
      if (warning !== undefined) call.log("warning", warning);
    }
    if (
      this.defaultNamespace !== "" &&
      namespaceOf(inputs) === "" &&
      (await isNamespaced(gvk, this.cluster?.discovery))
    )
      setAt(inputs, ["metadata", "namespace"], this.defaultNamespace);

    const checked = toProperties(inputs);
    markSecrets(checked, call.news);
    return { inputs: checked };
  }

  async diff(call: DiffCall): Promise<DiffResult> {
    const { inputs, live } = readCheckpoint(call.olds);
    const next = normalise(toJsonObject(call.news));
    const oldInputs = normalise(inputs);
    const old = pruneObject(live, oldInputs);
    const gvk = gvkOf(next);

    const canonical = (object: JsonObject, namespace: string): void => {
      if (namespace !== "") setAt(object, ["metadata", "namespace"], namespace);
      else if (isObject(object["metadata"])) delete object["metadata"]["namespace"];
    };
    if (await isNamespaced(gvk, this.cluster?.discovery).catch(() => true)) {
      canonical(old, namespaceOf(old) || "default");
      if (typeof pluck(next, "metadata", "namespace") !== "symbol") canonical(next, namespaceOf(next) || "default");
    } else {
      canonical(old, "");
      canonical(next, "");
    }
    if (isNamed(next)) setAt(old, ["metadata", "name"], nameOf(live));
    if (kindOf(old) === "") Object.assign(old, { apiVersion: next["apiVersion"], kind: next["kind"] });

    const rules = isPatchResource(call.type, kindOf(next))
      ? identityRules
      : replaceRules(gvk, this.options, oldInputs["immutable"] === true);
    const diff = withoutIgnored(detailedDiff(old, next, rules), call.ignoreChanges);
    const replaces = Object.entries(diff).flatMap(([path, { kind }]) => (kind.endsWith("-replace") ? [path] : []));
    let changes: DiffResult["changes"] = Object.keys(diff).length > 0 ? "some" : "none";
    if (await this.isUnreadyJob(call, next, live)) {
      changes = "some";
      replaces.push(`.metadata.annotations["${REPLACE_UNREADY}"]`);
    }
    return {
      changes,
      replaces,
      detailedDiff: diff,
      // Two objects cannot have one name at the same time; an autonamed one gets another name.
      deleteBeforeReplace:
        replaces.length > 0 &&
        isNamed(next) &&
        !isTrue(next, AUTONAMED) &&
        nameOf(next) === nameOf(live) &&
        namespaceOf(next) === (namespaceOf(live) || namespaceOf(old)),
    };
  }

  async create(call: CreateCall): Promise<StateResult> {
    const target = this.target();
    if (target === undefined) {
      if (call.preview) return { id: "", state: call.inputs };
      throw this.unreachableError();
    }
    return create(target, { ...call, signal: cancelledBy(call.signal) });
  }

  async update(call: UpdateCall): Promise<{ state: PropertyMap }> {
    const target = this.target();
    if (target === undefined) {
      if (call.preview) return { state: call.news };
      throw this.unreachableError();
    }
    return update(target, { ...call, signal: cancelledBy(call.signal) });
  }

  async read(call: ReadCall): Promise<ReadResult | undefined> {
    const target = this.target();
    if (target !== undefined) return read(target, call);
    call.log("warning", this.unreachableError().message);
    if (this.options.deleteUnreachable) {
      call.log("info", DELETED_FROM_STATE);
      return undefined;
    }
    if (this.options.skipUpdateUnreachable) {
      call.log(
        "info",
        "configured Kubernetes cluster is unreachable and the `skipUnreachable` option is enabled. Returned data could " +
          "not reflect the actual cluster configuration.",
      );
      return { id: call.id, state: call.state, inputs: call.inputs };
    }
    throw new Error(`failed to read resource state due to unreachable cluster. ${REMOVE_FROM_STATE}`);
  }

  async delete(call: DeleteCall): Promise<void> {
    const target = this.target();
    if (target !== undefined) return remove(target, { ...call, signal: cancelledBy(call.signal) });
    call.log("warning", this.unreachableError().message);
    if (!this.options.deleteUnreachable)
      throw new Error(`configured Kubernetes cluster is unreachable. ${REMOVE_FROM_STATE}`);
    call.log("info", DELETED_FROM_STATE);
  }

  /** Ends all connections. */
  close(): void {
    this.cluster?.close();
    this.cluster = undefined;
  }

  private target(): Target | undefined {
    return this.cluster === undefined ? undefined : { cluster: this.cluster, options: this.options, clock: this.clock };
  }

  private unreachableError(): Error {
    return new Error(`configured Kubernetes cluster is unreachable: ${this.unreachable}`);
  }

  private settings(): ConnectionSettings {
    const kubeconfig = this.kubeconfig();
    try {
      return connectionSettings(kubeconfig, this.options);
    } catch (error) {
      throw new Error(`${NO_CLIENT_CONFIGURATION} ${(error as Error).message}`, { cause: error });
    }
  }

  private kubeconfig(): Kubeconfig {
    const { kubeconfig } = this.options;
    if (kubeconfig !== undefined) {
      try {
        return kubeconfigFromOption(kubeconfig);
      } catch (error) {
        throw new Error(
          `failed to parse kubeconfig data in \`kubernetes:config:kubeconfig\`- ${(error as Error).message}`,
          { cause: error },
        );
      }
    }
    return kubeconfigFromEnvironment(this.environment);
  }

  private warnAboutAnnotations({ log }: ResourceCall, inputs: JsonObject): void {
    const annotations = pluck(inputs, "metadata", "annotations");
    if (!isObject(annotations)) return;
    for (const annotation of Object.keys(annotations))
      if (isInternal(annotation))
        log("warning", `ignoring user-specified value for internal annotation "${annotation}"`);
  }

  private async isUnreadyJob({ log }: DiffCall, next: JsonObject, live: JsonObject): Promise<boolean> {
    if (!isTrue(next, REPLACE_UNREADY)) return false;
    if (this.cluster === undefined) {
      log("warning", "Cluster is unreachable, skipping replaceUnready check");
      return false;
    }
    if (kindOf(next) !== "Job") {
      log("warning", "replaceUnready annotation is not supported for this resource");
      return false;
    }
    try {
      return !isJobComplete(await this.cluster.get(live));
    } catch {
      return false;
    }
  }
}
