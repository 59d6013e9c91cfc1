/** Reads objects back: for a refresh against what the state holds, for an import from nothing but the id. */

import { InitFailed, type DeleteCall, type ReadCall, type ReadResult } from "../protocol/provider";
import { deletionPropagationOf, isTrue, LAST_APPLIED, SKIP_AWAIT, timeoutOf } from "./annotations";
import { AwaitError, readReadiness } from "./await/awaiter";
import { waitUntilGone } from "./await/deletion";
import { followEvents } from "./await/events";
import { awaitRule, defaultTimeoutSeconds, skipsDeletionWait } from "./await/rules";
import { fieldManagerIn, initialApiVersionIn, readCheckpoint, writeCheckpoint } from "./checkpoint";
import { isNotFound } from "./connection";
import { NoMatchError } from "./discovery";
import { normalise } from "./normalisation";
import {
  apiVersionOf, apiVersionOfGvk, clone, gvkOf, gvkOfToken, idOf, isPatchResource, kindOf, nameOf, namespaceOf, parseId,
  removeAt, setAt, type JsonObject,
} from "./object"; // prettier-ignore
import { markSecrets, toJsonObject, toProperties } from "./properties";
import { pruneObject } from "./prune";
import { isBuiltInGroup } from "./scope";
import { StatusLog } from "./status-log";
import { fieldManagerFor, relinquish, type Target } from "./write";

/** Given by the server, never inputs. */
const OUTPUT_METADATA = ["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"];
const REVISION = "deployment.kubernetes.io/revision";

/** All that a program could have written to make this object: everything but its status. */
const importedInputs = (live: JsonObject, pruned: JsonObject): JsonObject => {
  // The real provider takes the inputs' names from its schema, which does not know custom kinds.
  if (!isBuiltInGroup(gvkOf(live).group)) return pruned;
  const { status: _status, ...rest } = live;
  const inputs = clone(rest);
  for (const field of OUTPUT_METADATA) removeAt(inputs, ["metadata", field]);
  for (const annotation of [REVISION, LAST_APPLIED]) removeAt(inputs, ["metadata", "annotations", annotation]);
  return inputs;
};

export const read = async (target: Target, call: ReadCall): Promise<ReadResult | undefined> => {
  const { cluster, options } = target;
  const { namespace, name } = parseId(call.id);
  if (name === "")
    throw new Error(`failed to read resource because of a failure to parse resource name from request ID: ${call.id}`);

  const oldInputs = normalise(toJsonObject(call.inputs));
  const { live: oldLive } = readCheckpoint(call.state);
  const isImport = kindOf(oldInputs) === "" && kindOf(oldLive) === "";
  if (kindOf(oldInputs) === "") {
    const gvk = isImport ? gvkOfToken(call.type) : gvkOf(oldLive);
    oldInputs["apiVersion"] = apiVersionOfGvk(gvk);
    oldInputs["kind"] = gvk.kind;
    if (nameOf(oldInputs) === "") setAt(oldInputs, ["metadata", "name"], name);
    if (namespaceOf(oldInputs) === "" && namespace !== "") setAt(oldInputs, ["metadata", "namespace"], namespace);
  }

  const status = new StatusLog(call.log);
  let live: JsonObject;
  let failure: Error | undefined;
  try {
    live = await cluster.get(oldInputs, name);
  } catch (error) {
    if (isNotFound(error) || error instanceof NoMatchError) return undefined;
    throw error;
  }
  const rule = awaitRule(live);
  if (!isImport && rule !== undefined && rule.read !== false && !isTrue(oldInputs, SKIP_AWAIT)) {
    try {
      await readReadiness(rule.make, { object: live, status, cluster });
    } catch (error) {
      if (!(error instanceof AwaitError)) throw error;
      failure = error;
    }
    status.clear();
  }

  const pruned = pruneObject(live, oldInputs);
  const inputs = isImport ? importedInputs(live, pruned) : pruned;
  const inputProperties = toProperties(inputs);
  markSecrets(inputProperties, call.inputs);
  const state = writeCheckpoint(
    {
      inputs,
      live,
      initialApiVersion: initialApiVersionIn(call.state) || apiVersionOf(oldInputs),
      fieldManager: fieldManagerFor(options, oldInputs, call.state),
    },
    call.inputs,
  );
  const id = call.id === "" ? idOf(live) : call.id;
  if (failure !== undefined)
    throw new InitFailed(failure.message, {
      id,
      state,
      inputs: inputProperties,
      reasons: [failure.message, ...(failure as AwaitError).subErrors],
    });
  return { id, state, inputs: inputProperties };
};

export const remove = async (target: Target, call: DeleteCall): Promise<void> => {
  const { cluster, options, clock } = target;
  const { inputs, live } = readCheckpoint(call.state);
  const { name } = parseId(call.id);
  const manager = fieldManagerFor(options, inputs, call.state);
  const status = new StatusLog(call.log);
  if (nameOf(live) === "") setAt(live, ["metadata", "name"], name);

  try {
    if (options.enableServerSideApply && isPatchResource(call.type, kindOf(live)))
      return await relinquish(cluster, live, manager);
    const removeIt = (): Promise<void> => cluster.delete(live, name, deletionPropagationOf(inputs));
    if (isTrue(inputs, SKIP_AWAIT) && skipsDeletionWait.has(kindOf(live))) {
      status.say("info", "Skipping await logic");
      return await removeIt();
    }
    const stopEvents = awaitRule(live) === undefined ? undefined : followEvents(cluster, live, status);
    try {
      await waitUntilGone({ cluster, object: live, status, log: call.log }, removeIt, {
        timeoutSeconds: timeoutOf(inputs, call.timeoutSeconds) ?? defaultTimeoutSeconds,
        clock,
        signal: call.signal,
      });
    } finally {
      stopEvents?.();
    }
    status.clear();
  } catch (error) {
    // The definition is gone, and with it every object of that kind.
    if (isNotFound(error) || error instanceof NoMatchError) return;
    if (!(error instanceof AwaitError)) throw error;
    const state = writeCheckpoint(
      {
        inputs: live,
        live: error.object,
        initialApiVersion: initialApiVersionIn(call.state),
        fieldManager: fieldManagerIn(call.state),
      },
      call.state,
    );
    throw new InitFailed(error.message, {
      id: idOf(error.object),
      state,
      inputs: call.oldInputs,
      reasons: [error.message, ...error.subErrors],
    });
  } finally {
    if (kindOf(live) === "CustomResourceDefinition") cluster.discovery.reset();
  }
};
