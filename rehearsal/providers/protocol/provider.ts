/**
 * What a provider stand-in implements. The protocol server in this folder translates between this and the engine's
 * gRPC service (`pulumirpc.ResourceProvider`), so that a stand-in never sees a protobuf message.
 */

/** Stands for a value that is not known before the engine has created what it comes from. */
export const UNKNOWN: unique symbol = Symbol("unknown");

/** A value that the engine must keep encrypted, wherever it goes. */
export class Secret {
  readonly value: PropertyValue;

  constructor(value: PropertyValue) {
    this.value = value;
  }
}

export type PropertyValue =
  | null
  | boolean
  | number
  | string
  | typeof UNKNOWN
  | Secret
  | readonly PropertyValue[]
  | { readonly [key: string]: PropertyValue };

export type PropertyMap = { readonly [key: string]: PropertyValue };

export interface CheckFailure {
  /** Path of the property; the real providers leave it empty and name the path in the reason. */
  property: string;
  reason: string;
}

export interface CheckResult {
  inputs: PropertyMap;
  failures?: readonly CheckFailure[];
}

export type DiffKind = "add" | "add-replace" | "delete" | "delete-replace" | "update" | "update-replace";

export interface DiffResult {
  changes: "none" | "some" | "unknown";
  replaces?: readonly string[];
  deleteBeforeReplace?: boolean;
  /** Top-level properties that changed. */
  diffs?: readonly string[];
  /** Path to kind; left out where the real provider gives none. */
  detailedDiff?: Readonly<Record<string, { kind: DiffKind; inputDiff?: boolean }>>;
}

/** What every call on a resource carries. */
export interface ResourceCall {
  urn: string;
  /** Type token, for example `hcloud:index/server:Server`. */
  type: string;
  /** Logical name: the last part of the URN. */
  name: string;
  /** Aborts when the engine cancels, or when the call's own time limit passes. */
  signal: AbortSignal;
  /** Sends a message to the engine; `status` ones are shown only while the step runs. */
  log(severity: "debug" | "info" | "warning" | "error", message: string, options?: { status?: boolean }): void;
}

export interface CheckCall extends ResourceCall {
  olds: PropertyMap;
  news: PropertyMap;
  /** Seed for auto-naming; the engine keeps it stable between preview and update. */
  randomSeed: Uint8Array;
}

export interface DiffCall extends ResourceCall {
  id: string;
  /** The state: outputs of the last operation. */
  olds: PropertyMap;
  news: PropertyMap;
  oldInputs: PropertyMap;
  ignoreChanges: readonly string[];
}

export interface CreateCall extends ResourceCall {
  inputs: PropertyMap;
  /** Zero: no limit was set. */
  timeoutSeconds: number;
  preview: boolean;
}

export interface ReadCall extends ResourceCall {
  id: string;
  /** Empty on import. */
  inputs: PropertyMap;
  state: PropertyMap;
}

export interface UpdateCall extends ResourceCall {
  id: string;
  olds: PropertyMap;
  news: PropertyMap;
  oldInputs: PropertyMap;
  timeoutSeconds: number;
  preview: boolean;
  ignoreChanges: readonly string[];
}

export interface DeleteCall extends ResourceCall {
  id: string;
  state: PropertyMap;
  oldInputs: PropertyMap;
  timeoutSeconds: number;
}

export interface StateResult {
  id: string;
  state: PropertyMap;
}

export interface ReadResult extends StateResult {
  inputs: PropertyMap;
}

export interface ConfigCall {
  urn: string;
  olds: PropertyMap;
  news: PropertyMap;
  log: ResourceCall["log"];
}

export interface ConfigureCall {
  args: PropertyMap;
  log: ResourceCall["log"];
}

/**
 * One provider. A method that throws fails the gRPC call with the error's message; `InitFailed` keeps what was made.
 * Values arrive with secrets and unknowns in place, and what is returned may hold both.
 */
export interface Provider {
  readonly name: string;
  readonly version: string;
  checkConfig?(call: ConfigCall): Promise<CheckResult>;
  /** Left out: nothing ever replaces the provider. */
  diffConfig?(call: ConfigCall): Promise<DiffResult>;
  configure(call: ConfigureCall): Promise<void>;
  check(call: CheckCall): Promise<CheckResult>;
  diff(call: DiffCall): Promise<DiffResult>;
  create(call: CreateCall): Promise<StateResult>;
  /** Returns undefined where the resource does not exist any more. */
  read(call: ReadCall): Promise<ReadResult | undefined>;
  update(call: UpdateCall): Promise<{ state: PropertyMap }>;
  /** A resource that is already gone counts as deleted. */
  delete(call: DeleteCall): Promise<void>;
  invoke?(token: string, args: PropertyMap): Promise<{ result: PropertyMap } | { failures: readonly CheckFailure[] }>;
}

/** The resource exists but did not become what it should: the engine keeps it in the state, with these reasons. */
export class InitFailed extends Error {
  readonly id: string;
  readonly state: PropertyMap;
  readonly inputs: PropertyMap;
  readonly reasons: readonly string[];

  constructor(
    message: string,
    failed: { id: string; state: PropertyMap; inputs: PropertyMap; reasons: readonly string[] },
  ) {
    super(message);
    this.name = "InitFailed";
    this.id = failed.id;
    this.state = failed.state;
    this.inputs = failed.inputs;
    this.reasons = failed.reasons;
  }
}
