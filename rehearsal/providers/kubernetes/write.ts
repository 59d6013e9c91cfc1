/** Creates and updates objects, then waits for them. */

import { InitFailed, type CreateCall, type PropertyMap, type StateResult, type UpdateCall } from "../protocol/provider";
import { isTrue, PATCH_FIELD_MANAGER, PATCH_FORCE, SKIP_AWAIT, timeoutOf, WAIT_FOR } from "./annotations";
import { AwaitError, waitUntilReady, type MakeReadiness } from "./await/awaiter";
import { followEvents } from "./await/events";
import { awaitRule, defaultTimeoutSeconds } from "./await/rules";
import { parseWaitFor } from "./await/wait-for";
import { fieldManagerIn, initialApiVersionIn, readCheckpoint, writeCheckpoint } from "./checkpoint";
import { sleep, type Clock } from "./clock";
import { CREATE_MANAGER, type Cluster } from "./cluster";
import { ApiError, isAlreadyExists, isConflict, isForbidden, isNotFound } from "./connection";
import { NoMatchError } from "./discovery";
import { hasUpdateManager, isHeldByOthers, takeOver } from "./managed-fields";
import { normalise } from "./normalisation";
import {
  annotationOf, apiVersionOf, apiVersionOfGvk, clone, gvkOfToken, idOf, isCustomResourceDefinition,
  isPatchResource, kindOf, nameOf, pluck, removeAt, setAt, type JsonObject,
} from "./object"; // prettier-ignore
import type { ProviderOptions } from "./options";
import { containsUnknown, toJsonObject } from "./properties";
import { randomHex } from "./naming";
import { StatusLog } from "./status-log";

export interface Target {
  cluster: Cluster;
  options: ProviderOptions;
  clock: Clock;
}

/** Seconds to wait after each failed attempt; 63 in all. */
const RETRY_SECONDS = [1, 2, 4, 8, 16, 32];

const ALREADY_EXISTS_HELP = `The resource already exists in the cluster. This can happen when:

  - Renaming a Pulumi resource: use an alias to preserve the identity,
    or use deleteBeforeReplace if the resource needs replacement.
  - Managing an existing resource: use a Patch resource (e.g. NamespacePatch)
    to manage specific fields without owning the resource lifecycle.
  - Adopting a resource into Pulumi: use \`pulumi import\`. Note that
    protected resources (e.g. kube-system) cannot be deleted on destroy.
  - Intentional upsert: set upsertExistingObjects on the provider to allow
    server-side apply to update existing objects on create.`;

const CONFLICT_HELP =
  "server-side apply field conflict detected, see https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/" +
  "managing-resources-with-server-side-apply/#handle-field-conflicts-on-existing-resources for troubleshooting help";

/** A conflict says which manager of ours ran into it. */
const explained = (error: unknown, manager: string): unknown =>
  error instanceof ApiError && isConflict(error)
    ? new ApiError(
        error.code,
        error.reason,
        `${CONFLICT_HELP}\nThe resource managed by field manager "${manager}" had an apply conflict: ${error.message}`,
        error.details,
      )
    : error;

const isNamespaceMissing = (error: unknown): boolean =>
  error instanceof ApiError && isNotFound(error) && error.details["kind"] === "namespaces";

/** The annotation, then what the state remembers, then a new name. Client-side apply knows one manager only. */
export const fieldManagerFor = (options: ProviderOptions, inputs: JsonObject, state: PropertyMap): string => {
  if (!options.enableServerSideApply) return CREATE_MANAGER;
  return annotationOf(inputs, PATCH_FIELD_MANAGER) || fieldManagerIn(state) || `${CREATE_MANAGER}-${randomHex()}`;
};

const forces = (
  options: ProviderOptions,
  inputs: JsonObject,
  live: JsonObject | undefined,
  preview: boolean,
): boolean =>
  isTrue(inputs, PATCH_FORCE) ||
  options.enablePatchForce ||
  // A dry run cannot first move fields from a former manager, and an upsert's may concern an object to be replaced.
  (preview && (live === undefined || hasUpdateManager(live)));

const isServed = async ({ cluster }: Target, object: JsonObject): Promise<boolean> => {
  try {
    await cluster.resourceFor(object);
    return true;
  } catch {
    return false;
  }
};

interface Written {
  object: JsonObject;
  previous?: JsonObject;
}

/** Waits as the kind, or the program's own annotation, asks for; answers the object as it is then. */
const settle = async (
  { cluster, clock }: Target,
  { object, previous }: Written,
  inputs: JsonObject,
  { signal, timeoutSeconds }: { signal: AbortSignal; timeoutSeconds: number },
  status: StatusLog,
): Promise<JsonObject> => {
  const rule = awaitRule(object);
  const custom = annotationOf(inputs, WAIT_FOR);
  const make: MakeReadiness | undefined = custom === "" ? rule?.make : parseWaitFor(custom);
  if (isTrue(inputs, SKIP_AWAIT)) {
    if (rule !== undefined) status.say("info", "Skipping await logic");
  } else if (make !== undefined) {
    const stopEvents = followEvents(cluster, object, status);
    try {
      await waitUntilReady(
        make,
        { object, ...(previous === undefined ? {} : { previous }), status, cluster },
        {
          timeoutSeconds:
            (custom === "" ? rule?.timeoutSeconds : undefined) ??
            timeoutOf(inputs, timeoutSeconds) ??
            defaultTimeoutSeconds,
          clock,
          signal,
        },
      );
    } finally {
      stopEvents();
    }
    status.clear();
  }
  // Whatever hinders this look must not hide that the object was made.
  return cluster.get(object).catch(() => object);
};

const refusedCreate = (urn: string, type: string, inputs: JsonObject, error: Error): Error => {
  if (error instanceof NoMatchError) {
    const gvk = gvkOfToken(type);
    const kind = gvk.kind === "" ? `${apiVersionOf(inputs)}/${kindOf(inputs)}` : `${apiVersionOfGvk(gvk)}/${gvk.kind}`;
    return new Error(
      `creation of resource "${urn}" with kind ${kind} failed because the Kubernetes API server reported that the ` +
        "apiVersion for this resource does not exist. Verify that any required CRDs have been created: " +
        error.message,
    );
  }
  const help = isAlreadyExists(error) ? `\n\n${ALREADY_EXISTS_HELP}` : "";
  return new Error(
    `resource "${urn}" was not successfully created by the Kubernetes API server: ${error.message}${help}`,
  );
};

/** Tries again while something the object needs, its namespace or its definition, is missing. */
const createWithRetries = async (
  target: Target,
  inputs: JsonObject,
  call: CreateCall,
  manager: string,
  status: StatusLog,
): Promise<JsonObject> => {
  const { cluster, options, clock } = target;
  const upserts =
    options.enableServerSideApply && (options.upsertExistingObjects || isPatchResource(call.type, kindOf(inputs)));
  const attempt = async (): Promise<JsonObject> => {
    if (!upserts)
      return cluster.create(inputs, { fieldManager: CREATE_MANAGER, dryRun: call.preview, signal: call.signal });
    try {
      const force = forces(options, inputs, undefined, call.preview);
      return await cluster.apply(inputs, { fieldManager: manager, dryRun: call.preview, force, signal: call.signal });
    } catch (error) {
      throw explained(error, manager);
    }
  };
  for (let number = 0; ; number += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (call.signal.aborted) throw error;
      // The namespace may be made by the same update: a preview cannot tell.
      if (call.preview && isNamespaceMissing(error)) throw error;
      status.say("info", `Retry #${number}; creation failed: ${(error as Error).message}`);
      const seconds = RETRY_SECONDS[number];
      if (!(isNotFound(error) || error instanceof NoMatchError) || seconds === undefined) throw error;
      await sleep(clock, seconds, call.signal);
      if (number === RETRY_SECONDS.length - 1) throw error;
    }
  }
};

export const create = async (target: Target, call: CreateCall): Promise<StateResult> => {
  const { cluster, options } = target;
  const inputs = toJsonObject(call.inputs);
  const asGiven: StateResult = { id: "", state: call.inputs };
  if (
    call.preview &&
    (containsUnknown(inputs) ||
      !options.enableServerSideApply ||
      isPatchResource(call.type, kindOf(inputs)) ||
      !(await isServed(target, inputs)))
  )
    return asGiven;

  const status = new StatusLog(call.log);
  const manager = fieldManagerFor(options, inputs, {});
  const waitFor = annotationOf(inputs, WAIT_FOR);
  let written: JsonObject;
  try {
    written = await createWithRetries(target, inputs, call, manager, status);
    if (waitFor !== "" && !call.preview) parseWaitFor(waitFor);
  } catch (error) {
    if (call.preview && (isForbidden(error) || isAlreadyExists(error) || isNamespaceMissing(error))) return asGiven;
    throw refusedCreate(call.urn, call.type, inputs, error as Error);
  }
  status.clear();

  const checkpoint = (live: JsonObject): PropertyMap =>
    writeCheckpoint(
      { inputs: normalise(inputs), live, initialApiVersion: apiVersionOf(inputs), fieldManager: manager },
      call.inputs,
    );
  if (call.preview) {
    // An empty status would make a program that reads it during preview fail.
    const { status: _status, ...live } = written;
    return { id: "", state: checkpoint(live) };
  }
  try {
    const live = await settle(target, { object: written }, inputs, call, status);
    if (isCustomResourceDefinition(inputs)) cluster.discovery.reset();
    return { id: idOf(live), state: checkpoint(live) };
  } catch (error) {
    if (!(error instanceof AwaitError)) throw error;
    const message =
      `resource "${call.urn}" was successfully created, but the Kubernetes API server reported that it failed to ` +
      `fully initialize or become live: ${error.message}`;
    throw new InitFailed(message, {
      id: idOf(error.object),
      state: checkpoint(error.object),
      inputs: call.inputs,
      reasons: [message, ...error.subErrors],
    });
  }
};

/** What the program ignores stays with its other manager, or keeps the value that it has. */
const applyIgnoredChanges = (
  inputs: JsonObject,
  live: JsonObject,
  ignoreChanges: readonly string[],
  manager: string | undefined,
): void => {
  for (const ignored of ignoreChanges) {
    const path = ignored.split(".");
    if (manager !== undefined && isHeldByOthers(live, path, manager)) {
      removeAt(inputs, path);
      continue;
    }
    const value = pluck(live, ...path);
    if (value !== undefined) setAt(inputs, path, value);
  }
};

const mergePatchOf = (before: JsonObject, after: JsonObject): JsonObject => {
  const patch: JsonObject = {};
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const old = before[key];
    const next = after[key];
    if (next === undefined) patch[key] = null;
    else if (
      typeof old === "object" &&
      old !== null &&
      !Array.isArray(old) &&
      typeof next === "object" &&
      next !== null &&
      !Array.isArray(next)
    ) {
      const inner = mergePatchOf(old, next);
      if (Object.keys(inner).length > 0) patch[key] = inner;
    } else if (JSON.stringify(old) !== JSON.stringify(next)) patch[key] = next;
  }
  return patch;
};

/** Controllers write status at any time, and the move of ownership is bound to one version of the object. */
const TAKE_OVER_ATTEMPTS = 10;

const takenOver = async (cluster: Cluster, current: JsonObject, manager: string): Promise<JsonObject> => {
  let live = current;
  for (let attempt = 1; ; attempt += 1) {
    const patch = takeOver(live, manager);
    if (patch === undefined) return live;
    try {
      return await cluster.patch(live, "json-patch", patch);
    } catch (error) {
      if (!isConflict(error) || attempt === TAKE_OVER_ATTEMPTS) throw error;
      live = await cluster.get(live);
    }
  }
};

const putUpdate = async (
  { cluster, options }: Target,
  call: UpdateCall,
  inputs: JsonObject,
  old: { inputs: JsonObject; live: JsonObject },
  current: JsonObject,
  manager: string,
): Promise<JsonObject> => {
  const dryRun = call.preview;
  if (isCustomResourceDefinition(inputs)) {
    // Replaced as a whole, as `kubectl replace` does: nothing of an old schema version may stay behind.
    setAt(inputs, ["metadata", "resourceVersion"], pluck(current, "metadata", "resourceVersion") ?? "");
    return cluster.replace(inputs, { fieldManager: manager, dryRun });
  }
  if (!options.enableServerSideApply) {
    applyIgnoredChanges(inputs, current, call.ignoreChanges, undefined);
    return cluster.patch(inputs, "merge-patch", mergePatchOf(old.inputs, inputs), { fieldManager: manager, dryRun });
  }
  const isPatch = isPatchResource(call.type, kindOf(inputs));
  const live = call.preview || isPatch ? current : await takenOver(cluster, current, manager);
  applyIgnoredChanges(inputs, live, call.ignoreChanges, manager);
  try {
    return await cluster.apply(inputs, {
      fieldManager: manager,
      dryRun,
      force: forces(options, inputs, live, call.preview),
    });
  } catch (error) {
    throw explained(error, manager);
  }
};

/** Applies nothing under the old name of the manager, which gives up all its fields. */
export const relinquish = async (cluster: Cluster, object: JsonObject, manager: string): Promise<void> => {
  const bare: JsonObject = {
    apiVersion: apiVersionOf(object),
    kind: kindOf(object),
    metadata: clone({ name: nameOf(object), namespace: pluck(object, "metadata", "namespace") ?? "" }),
  };
  await cluster.apply(bare, { fieldManager: manager, force: true });
};

export const update = async (target: Target, call: UpdateCall): Promise<{ state: PropertyMap }> => {
  const { cluster, options } = target;
  const inputs = normalise(toJsonObject(call.news));
  if (call.preview && (containsUnknown(inputs) || !(await isServed(target, inputs)))) return { state: call.news };

  const old = readCheckpoint(call.olds);
  const manager = fieldManagerFor(options, inputs, call.olds);
  const status = new StatusLog(call.log);
  const checkpoint = (live: JsonObject): PropertyMap =>
    writeCheckpoint(
      {
        inputs: toJsonObject(call.news),
        live,
        initialApiVersion: initialApiVersionIn(call.olds) || apiVersionOf(old.inputs),
        fieldManager: manager,
      },
      call.news,
    );

  const fail = async (error: Error): Promise<never> => {
    if (error instanceof NoMatchError)
      throw new Error(
        `update of resource "${call.urn}" failed because the Kubernetes API server reported that the apiVersion for ` +
          `this resource does not exist. Verify that any required CRDs have been created: ${error.message}`,
      );
    let live: JsonObject;
    try {
      live = await cluster.get(old.live);
    } catch (unreadable) {
      throw new Error(
        `update of resource "${call.urn}" failed: ${error.message}\n` +
          `unable to get cluster state: ${(unreadable as Error).message}`,
        { cause: unreadable },
      );
    }
    const message =
      `the Kubernetes API server reported that "${idOf(live)}" failed to fully initialize or become live: ` +
      error.message;
    throw new InitFailed(message, {
      id: idOf(live),
      state: checkpoint(live),
      inputs: call.news,
      reasons: [message, ...(error instanceof AwaitError ? error.subErrors : [])],
    });
  };

  try {
    const current = await cluster.get(old.live);
    const written = await putUpdate(target, call, inputs, old, current, manager);
    if (call.preview) return { state: checkpoint(written) };
    const live = await settle(target, { object: written, previous: current }, inputs, call, status);
    const formerManager = fieldManagerFor(options, old.inputs, call.olds);
    if (options.enableServerSideApply && formerManager !== manager) await relinquish(cluster, live, formerManager);
    if (isCustomResourceDefinition(inputs)) cluster.discovery.reset();
    return { state: checkpoint(live) };
  } catch (error) {
    if (call.preview && isForbidden(error)) return { state: call.news };
    return fail(error as Error);
  }
};
