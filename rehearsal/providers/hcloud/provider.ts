import {
  type CreateCall,
  type DiffResult,
  InitFailed,
  type PropertyMap,
  type PropertyValue,
  type Provider,
  type ResourceCall,
  type StateResult,
  UNKNOWN,
} from "../protocol/provider";
import { withoutSecrets } from "../protocol/values";
import { autoName } from "./auto-name";
import { HcloudClient } from "./client";
import { checkFramework, diffFramework, planFramework } from "./framework-dialect";
import { invokeHcloud } from "./invokes";
import { checkConfig, clientOptions, diffConfig } from "./provider-config";
import type { Context, ResourceType } from "./resource-type";
import { resourceTypes } from "./resources";
import { DEFAULTS, given, isZero } from "./schema";
import { checkSdk, diffSdk, planSdk, settledSdk, typeProblemSdk } from "./sdk-dialect";

/** The release of @pulumi/hcloud whose provider it stands in for. */
const VERSION = "1.41.0";

/** Terraform's default for an operation; a server's create may take 90 minutes. */
const DEFAULT_TIMEOUT_SECONDS = 20 * 60;
const SERVER_CREATE_TIMEOUT_SECONDS = 90 * 60;
const MILLISECONDS_PER_SECOND = 1000;

/** The real provider's states carry their timeouts (here 90 minutes in nanoseconds) under a key of the Terraform SDK. */
const META: Record<string, string> = {
  hcloud_server: '{"e2bfb730-ecaa-11e6-8f88-34363bc7c4c0":{"create":5400000000000}}',
};

export interface HcloudProviderOptions {
  /** Default: the process environment, for HCLOUD_TOKEN and HCLOUD_ENDPOINT. */
  environment?: NodeJS.ProcessEnv;
  /** First wait before a repeated call. Default 1000, as hcloud-go. */
  retryBaseMilliseconds?: number;
}

/**
 * Stands in for pulumi-resource-hcloud 1.41 where the real one cannot be had. What it accepts, refuses and replaces was recorded
 * from the real provider (test/fixtures/contracts/hcloud.json); which calls it makes, and in which order, follows
 * terraform-provider-hcloud, retries and all. Where the real one fails, this one does.
 */
export function createHcloudProvider(options: HcloudProviderOptions = {}): Provider {
  const { environment = process.env, retryBaseMilliseconds = 1000 } = options;
  let configured: HcloudClient | undefined;

  const typeOf = ({ type }: { type: string }): ResourceType => {
    const found = resourceTypes.find(({ token }) => token === type);
    if (found) return found;
    const known = resourceTypes.map(({ token }) => token).join(", ");
    throw new Error(`this stand-in of the hcloud provider has no ${type}; it has ${known}`);
  };
  const client = (): HcloudClient => {
    if (configured) return configured;
    throw new Error("the hcloud provider was not configured");
  };
  const contextOf = (call: ResourceCall, timeoutSeconds: number): Context => ({
    client: client(),
    signal: AbortSignal.any([call.signal, AbortSignal.timeout(timeoutSeconds * MILLISECONDS_PER_SECOND)]),
    progress: (message) => call.log("info", message, { status: true }),
  });

  return {
    name: "hcloud",
    version: VERSION,

    async checkConfig({ urn, news }) {
      return checkConfig(urn.split("::").at(-1) ?? "", news);
    },
    async diffConfig({ olds, news }) {
      return diffConfig(olds, news);
    },
    async configure({ args }) {
      configured = new HcloudClient({ ...clientOptions(args, environment), retryBaseMilliseconds });
    },

    async check(call) {
      const type = typeOf(call);
      const check = type.dialect === "sdk" ? checkSdk : checkFramework;
      const { inputs, failures } = check(type.fields, {
        news: withoutSecrets(call.news),
        olds: withoutSecrets(call.olds),
        name: call.name,
        autoName: () => autoName(call.name, call.randomSeed),
      });
      // It may fail the call; its failures count only where each property is right by itself.
      const reasons = type.checkTogether?.(inputs, call.name) ?? [];
      const together = failures.length === 0 ? reasons : [];
      return { inputs, failures: [...failures, ...together.map((reason) => ({ property: "", reason }))] };
    },

    async diff(call) {
      return diffOf(typeOf(call), withoutSecrets(call.olds), withoutSecrets(call.news));
    },

    async create(call) {
      const type = typeOf(call);
      const inputs = withoutSecrets(call.inputs);
      checkPlan(type, inputs, call.urn);
      const planned = plan(type, inputs);
      if (call.preview) return { id: "", state: { ...planned, id: UNKNOWN, ...metaOf(type) } };
      const timeout = type.terraformType === "hcloud_server" ? SERVER_CREATE_TIMEOUT_SECONDS : DEFAULT_TIMEOUT_SECONDS;
      return createNow(type, call, { inputs, planned, context: contextOf(call, call.timeoutSeconds || timeout) });
    },

    async read(call) {
      const type = typeOf(call);
      const isImport = Object.keys(call.state).length === 0;
      const before = isImport ? settled(type, plan(type, {})) : withoutSecrets(call.state);
      const found = await type.read(contextOf(call, DEFAULT_TIMEOUT_SECONDS), call.id, before);
      if (found === undefined) return undefined;
      const state: PropertyMap = { ...before, ...found, id: call.id, ...metaOf(type) };
      return {
        id: call.id,
        state,
        inputs: isImport ? importedInputs(type, state) : refreshedInputs(type, withoutSecrets(call.inputs), state),
      };
    },

    async update(call) {
      const type = typeOf(call);
      const state = withoutSecrets(call.olds);
      const inputs = withoutSecrets(call.news);
      checkPlan(type, inputs, call.urn);
      const planned = plan(type, inputs, state);
      if (call.preview) return { state: { ...state, ...planned, id: call.id, ...metaOf(type) } };
      const changed = diffOf(type, state, inputs).diffs ?? [];
      const context = contextOf(call, call.timeoutSeconds || DEFAULT_TIMEOUT_SECONDS);
      try {
        await type.update(context, call.id, { state, planned, inputs, has: (property) => changed.includes(property) });
        const before = settled(type, { ...state, ...planned });
        const found = await type.read(context, call.id, before);
        return { state: { ...before, ...found, id: call.id, ...metaOf(type) } };
      } catch (error) {
        throw failed(type, "updating", call.urn, error);
      }
    },

    async delete(call) {
      const type = typeOf(call);
      try {
        await type.delete(
          contextOf(call, call.timeoutSeconds || DEFAULT_TIMEOUT_SECONDS),
          call.id,
          withoutSecrets(call.state),
        );
      } catch (error) {
        throw failed(type, "deleting", call.urn, error);
      }
    },

    invoke: (token, args) => invokeHcloud(client(), token, withoutSecrets(args)),
  };
}

/**
 * Creates, then reads. Once the provider knows the id, a failure leaves a resource that the engine keeps, with the state as
 * planned; before that nothing is kept, whatever the API may have made meanwhile.
 */
async function createNow(
  type: ResourceType,
  call: CreateCall,
  { inputs, planned, context }: { inputs: PropertyMap; planned: PropertyMap; context: Context },
): Promise<StateResult> {
  const before = settled(type, planned);
  let id: string | undefined;
  const created = (made: string) => {
    id = made;
  };
  try {
    await type.create({ ...context, created }, inputs, planned);
    if (id === undefined) throw new Error(`${type.token} was made without an id`);
    const found = await type.read(context, id, before);
    if (found === undefined) throw new Error(`${type.token} ${id} was gone as soon as it was made`);
    return { id, state: { ...before, ...found, id, ...metaOf(type) } };
  } catch (error) {
    const failure = failed(type, "creating", call.urn, error);
    if (id === undefined) throw failure;
    throw new InitFailed(failure.message, {
      id,
      state: { ...before, id, ...metaOf(type) },
      inputs: call.inputs,
      reasons: [failure.message],
    });
  }
}

function diffOf(type: ResourceType, state: PropertyMap, inputs: PropertyMap): DiffResult {
  return type.dialect === "sdk" ? diffSdk(type.fields, state, inputs) : diffFramework(type.fields, state, inputs);
}

function plan(type: ResourceType, inputs: PropertyMap, state?: PropertyMap): PropertyMap {
  if (type.dialect === "sdk") return planSdk(type.fields, inputs, state);
  const isChange = state !== undefined && diffFramework(type.fields, state, inputs).changes !== "none";
  return planFramework(type.fields, inputs, state, isChange);
}

const settled = (type: ResourceType, planned: PropertyMap): PropertyMap => settledSdk(type.fields, planned);

const metaOf = (type: ResourceType): PropertyMap => {
  const meta = META[type.terraformType];
  return meta === undefined ? {} : { __meta: meta };
};

/** Refuses what Check lets through and the Terraform plan does not, in a preview as in an update. */
function checkPlan(type: ResourceType, inputs: PropertyMap, urn: string): void {
  const wrongType = type.dialect === "sdk" ? typeProblemSdk(type.fields, inputs) : undefined;
  if (wrongType !== undefined) throw new Error(`diffing ${urn}: Resource "${type.terraformType}": ${wrongType}`);
  const problem = type.planProblem?.(inputs);
  if (problem !== undefined) throw new Error(`diffing ${urn}: ${problem}`);
}

/** In the words of the bridge. */
function failed(type: ResourceType, doing: string, urn: string, error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  const text = type.dialect === "sdk" ? `${doing} ${urn}: 1 error occurred:\n\t* ${message}\n\n` : message;
  return new Error(text, { cause: error });
}

/** What a program would write to get this resource: nothing that the provider sets or that is the default. */
function importedInputs(type: ResourceType, state: PropertyMap): PropertyMap {
  const inputs = Object.entries(type.fields)
    .filter(
      ([property, field]) => field.output !== true && !isZero(state[property]) && state[property] !== field.default,
    )
    .map(([property]): [string, PropertyValue] => [property, state[property] ?? null]);
  return { ...Object.fromEntries(inputs), [DEFAULTS]: [] };
}

/** The program's inputs, with what is different in the cloud by now. */
function refreshedInputs(type: ResourceType, inputs: PropertyMap, state: PropertyMap): PropertyMap {
  const changed = diffOf(type, state, inputs).diffs ?? [];
  const moved = changed
    .filter((property) => given(inputs[property]) && given(state[property]))
    .map((property): [string, PropertyValue] => [property, state[property] ?? null]);
  return { ...inputs, ...Object.fromEntries(moved) };
}
