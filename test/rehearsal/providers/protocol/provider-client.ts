/**
 * The engine's side of the provider protocol, for tests: a provider is called over real gRPC, with property values in
 * and out. What fails comes back as `ProviderError`.
 */
import * as grpc from "@grpc/grpc-js";
import { EngineService } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogSeverity, type LogRequest } from "@pulumi/pulumi/proto/engine_pb";
import { PluginAttach, type PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as messages from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import type { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { fromStruct, toStruct } from "../../../../rehearsal/providers/protocol/marshal";
import type { CheckFailure, DiffKind, PropertyMap, Provider } from "../../../../rehearsal/providers/protocol/provider";
import { startProviderServer } from "../../../../rehearsal/providers/protocol/server";

export interface InitFailure {
  id: string;
  state: PropertyMap;
  inputs: PropertyMap;
  reasons: readonly string[];
}

/** What the engine is told when a call fails. */
export class ProviderError extends Error {
  readonly code: grpc.status;
  readonly initFailed: InitFailure | undefined;

  constructor(message: string, code: grpc.status, initFailed: InitFailure | undefined) {
    super(message);
    this.code = code;
    this.initFailed = initFailed;
  }
}

export interface Message {
  severity: "debug" | "info" | "warning" | "error";
  text: string;
  status: boolean;
  urn: string;
}

export interface Diff {
  changes: "none" | "some" | "unknown";
  replaces: readonly string[];
  diffs: readonly string[];
  deleteBeforeReplace: boolean;
  /** Absent: the provider gives no detailed diff. */
  detailedDiff?: Record<string, DiffKind>;
  inputDiffs: readonly string[];
}

export interface Resource {
  type: string;
  name?: string;
}

const CHANGES = ["unknown", "none", "some"] as const;
const KINDS = ["add", "add-replace", "delete", "delete-replace", "update", "update-replace"] as const;
const SEVERITIES = {
  [LogSeverity.DEBUG]: "debug",
  [LogSeverity.INFO]: "info",
  [LogSeverity.WARNING]: "warning",
  [LogSeverity.ERROR]: "error",
} as const;

/** 32 bytes of 7, as in the recorded contracts. */
export const SEED = new Uint8Array(32).fill(7);

export function urnOf({ type, name = "example" }: Resource): string {
  return `urn:pulumi:stack::project::${type}::${name}`;
}

/** Serves the provider in this process and connects to it, with an engine that collects its messages. */
export async function connect(provider: Provider): Promise<ProviderClient> {
  const received: Message[] = [];
  const engine = new grpc.Server();
  engine.addService(EngineService, {
    log: (call: grpc.ServerUnaryCall<LogRequest, Empty>, callback: grpc.sendUnaryData<Empty>) => {
      const request = call.request;
      received.push({
        severity: SEVERITIES[request.getSeverity()],
        text: request.getMessage(),
        status: request.getEphemeral(),
        urn: request.getUrn(),
      });
      callback(null, new Empty());
    },
  });
  const enginePort = await new Promise<number>((resolve, reject) => {
    engine.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
  const server = await startProviderServer(provider, { engineAddress: `127.0.0.1:${enginePort}` });
  const client = new ResourceProviderClient(server.address, grpc.credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
  });
  return new ProviderClient(client, received, async () => {
    client.close();
    await server.close();
    engine.forceShutdown();
  });
}

type Reply<Response> = (error: grpc.ServiceError | null, response: Response) => void;

export class ProviderClient {
  /** All messages so far, in the order in which they came. */
  readonly messages: Message[];
  readonly grpc: ResourceProviderClient;
  readonly close: () => Promise<void>;

  constructor(client: ResourceProviderClient, received: Message[], close: () => Promise<void>) {
    this.grpc = client;
    this.messages = received;
    this.close = close;
  }

  async handshake(engineAddress: string): Promise<messages.ProviderHandshakeResponse.AsObject> {
    const request = new messages.ProviderHandshakeRequest();
    request.setEngineAddress(engineAddress);
    const response = await this.call<messages.ProviderHandshakeResponse>((r) => this.grpc.handshake(request, r));
    return response.toObject();
  }

  async attach(engineAddress: string): Promise<void> {
    const request = new PluginAttach();
    request.setAddress(engineAddress);
    await this.call<Empty>((r) => this.grpc.attach(request, r));
  }

  async version(): Promise<string> {
    return (await this.call<PluginInfo>((r) => this.grpc.getPluginInfo(new Empty(), r))).getVersion();
  }

  async schema(): Promise<string> {
    const request = new messages.GetSchemaRequest();
    return (await this.call<messages.GetSchemaResponse>((r) => this.grpc.getSchema(request, r))).getSchema();
  }

  async cancel(): Promise<void> {
    await this.call<Empty>((r) => this.grpc.cancel(new Empty(), r));
  }

  async checkConfig(
    news: PropertyMap,
    olds: PropertyMap = {},
  ): Promise<{ inputs: PropertyMap; failures: CheckFailure[] }> {
    const request = new messages.CheckRequest();
    request.setUrn(urnOf({ type: "pulumi:providers:test" }));
    request.setOlds(toStruct(olds));
    request.setNews(toStruct(news));
    return checked(await this.call<messages.CheckResponse>((r) => this.grpc.checkConfig(request, r)));
  }

  async diffConfig(olds: PropertyMap, news: PropertyMap): Promise<Diff> {
    const request = new messages.DiffRequest();
    request.setUrn(urnOf({ type: "pulumi:providers:test" }));
    request.setOlds(toStruct(olds));
    request.setNews(toStruct(news));
    return differences(await this.call<messages.DiffResponse>((r) => this.grpc.diffConfig(request, r)));
  }

  async configure(args: PropertyMap = {}): Promise<messages.ConfigureResponse.AsObject> {
    const request = new messages.ConfigureRequest();
    request.setArgs(toStruct(args));
    request.setAcceptsecrets(true);
    request.setAcceptresources(true);
    const response = await this.call<messages.ConfigureResponse>((r) => this.grpc.configure(request, r));
    return response.toObject();
  }

  async check(
    resource: Resource,
    news: PropertyMap,
    olds: PropertyMap = {},
    randomSeed: Uint8Array = SEED,
  ): Promise<{ inputs: PropertyMap; failures: CheckFailure[] }> {
    const request = identified(new messages.CheckRequest(), resource);
    request.setOlds(toStruct(olds));
    request.setNews(toStruct(news));
    request.setRandomseed(randomSeed);
    return checked(await this.call<messages.CheckResponse>((r) => this.grpc.check(request, r)));
  }

  async diff(
    resource: Resource,
    {
      id = "id",
      ...of
    }: { id?: string; olds: PropertyMap; news: PropertyMap; oldInputs?: PropertyMap; ignoreChanges?: string[] },
  ): Promise<Diff> {
    const request = identified(new messages.DiffRequest(), resource);
    request.setId(id);
    request.setOlds(toStruct(of.olds));
    request.setNews(toStruct(of.news));
    request.setOldInputs(toStruct(of.oldInputs ?? {}));
    request.setIgnorechangesList(of.ignoreChanges ?? []);
    return differences(await this.call<messages.DiffResponse>((r) => this.grpc.diff(request, r)));
  }

  async create(
    resource: Resource,
    inputs: PropertyMap,
    { preview = false, timeoutSeconds = 0 } = {},
  ): Promise<{ id: string; state: PropertyMap }> {
    const request = identified(new messages.CreateRequest(), resource);
    request.setProperties(toStruct(inputs));
    request.setPreview(preview);
    request.setTimeout(timeoutSeconds);
    const response = await this.call<messages.CreateResponse>((r) => this.grpc.create(request, r));
    return { id: response.getId(), state: fromStruct(response.getProperties()) };
  }

  async read(
    resource: Resource,
    id: string,
    { state = {}, inputs = {} }: { state?: PropertyMap; inputs?: PropertyMap } = {},
  ): Promise<{ id: string; state: PropertyMap; inputs: PropertyMap } | undefined> {
    const request = identified(new messages.ReadRequest(), resource);
    request.setId(id);
    request.setProperties(toStruct(state));
    request.setInputs(toStruct(inputs));
    const response = await this.call<messages.ReadResponse>((r) => this.grpc.read(request, r));
    if (response.getId() === "") return undefined;
    return {
      id: response.getId(),
      state: fromStruct(response.getProperties()),
      inputs: fromStruct(response.getInputs()),
    };
  }

  async update(
    resource: Resource,
    id: string,
    of: { olds: PropertyMap; news: PropertyMap; oldInputs?: PropertyMap; ignoreChanges?: string[] },
    { preview = false, timeoutSeconds = 0 } = {},
  ): Promise<PropertyMap> {
    const request = identified(new messages.UpdateRequest(), resource);
    request.setId(id);
    request.setOlds(toStruct(of.olds));
    request.setNews(toStruct(of.news));
    request.setOldInputs(toStruct(of.oldInputs ?? {}));
    request.setIgnorechangesList(of.ignoreChanges ?? []);
    request.setPreview(preview);
    request.setTimeout(timeoutSeconds);
    return fromStruct((await this.call<messages.UpdateResponse>((r) => this.grpc.update(request, r))).getProperties());
  }

  async delete(
    resource: Resource,
    id: string,
    {
      state = {},
      oldInputs = {},
      timeoutSeconds = 0,
    }: { state?: PropertyMap; oldInputs?: PropertyMap; timeoutSeconds?: number } = {},
  ): Promise<void> {
    const request = identified(new messages.DeleteRequest(), resource);
    request.setId(id);
    request.setProperties(toStruct(state));
    request.setOldInputs(toStruct(oldInputs));
    request.setTimeout(timeoutSeconds);
    await this.call<Empty>((r) => this.grpc.delete(request, r));
  }

  async invoke(token: string, args: PropertyMap = {}): Promise<{ result: PropertyMap; failures: CheckFailure[] }> {
    const request = new messages.InvokeRequest();
    request.setTok(token);
    request.setArgs(toStruct(args));
    const response = await this.call<messages.InvokeResponse>((r) => this.grpc.invoke(request, r));
    return { result: fromStruct(response.getReturn()), failures: response.getFailuresList().map((f) => f.toObject()) };
  }

  private call<Response>(send: (reply: Reply<Response>) => void): Promise<Response> {
    return new Promise((resolve, reject) => {
      send((error, response) => (error ? reject(providerError(error)) : resolve(response)));
    });
  }
}

function identified<
  Request extends { setUrn(v: string): unknown; setType(v: string): unknown; setName(v: string): unknown },
>(request: Request, resource: Resource): Request {
  request.setUrn(urnOf(resource));
  request.setType(resource.type);
  request.setName(resource.name ?? "example");
  return request;
}

function checked(response: messages.CheckResponse): { inputs: PropertyMap; failures: CheckFailure[] } {
  return {
    inputs: fromStruct(response.getInputs()),
    failures: response.getFailuresList().map((failure) => failure.toObject()),
  };
}

function differences(response: messages.DiffResponse): Diff {
  const entries: [string, messages.PropertyDiff][] = [];
  response.getDetaileddiffMap().forEach((property, path) => entries.push([path, property]));
  const diff: Diff = {
    changes: CHANGES[response.getChanges()],
    replaces: response.getReplacesList(),
    diffs: response.getDiffsList(),
    deleteBeforeReplace: response.getDeletebeforereplace(),
    inputDiffs: entries.filter(([, property]) => property.getInputdiff()).map(([path]) => path),
  };
  if (response.getHasdetaileddiff()) {
    diff.detailedDiff = Object.fromEntries(entries.map(([path, property]) => [path, KINDS[property.getKind()]]));
  }
  return diff;
}

/** Reads the status details as the engine does. */
function providerError(error: grpc.ServiceError): ProviderError {
  const [details] = error.metadata.get("grpc-status-details-bin");
  let initFailed: InitFailure | undefined;
  for (const detail of details === undefined ? [] : Status.deserializeBinary(Buffer.from(details)).getDetailsList()) {
    if (detail.getTypeName() !== "pulumirpc.ErrorResourceInitFailed") continue;
    const failed = messages.ErrorResourceInitFailed.deserializeBinary(detail.getValue_asU8());
    const value = (struct: Struct | undefined) => fromStruct(struct);
    initFailed = {
      id: failed.getId(),
      state: value(failed.getProperties()),
      inputs: value(failed.getInputs()),
      reasons: failed.getReasonsList(),
    };
  }
  return new ProviderError(error.details, error.code, initFailed);
}
