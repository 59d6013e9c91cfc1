/** Serves a `Provider` to the engine over gRPC (`pulumirpc.ResourceProvider`). */
import * as grpc from "@grpc/grpc-js";
import { PluginInfo, type PluginAttach } from "@pulumi/pulumi/proto/plugin_pb";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as messages from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Any } from "google-protobuf/google/protobuf/any_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { EngineLog } from "./engine-log";
import { fromStruct, toStruct } from "./marshal";
import { engineAddressOfArguments, engineGone } from "./plugin-process";
import {
  type CheckFailure,
  type CheckResult,
  type DiffKind,
  type DiffResult,
  InitFailed,
  type PropertyMap,
  type Provider,
  type ResourceCall,
} from "./provider";
import { keepSecrets } from "./values";

/** The engine's own limit, 400 MiB: a state with certificates and manifests is far over gRPC's default of 4 MiB. */
const MAX_MESSAGE_BYTES = 400 * 1024 * 1024;

/** How long calls that run when the process is told to end may take to notice their aborted signal. */
const SHUTDOWN_DEADLINE_MILLISECONDS = 2_000;

/** How long the last answers may take to leave; both ends are on this machine. */
const FLUSH_DEADLINE_MILLISECONDS = 200;

/** A provider that listens. */
export interface ProviderServer {
  /** `127.0.0.1:port` */
  readonly address: string;
  readonly port: number;
  /** Aborts what runs, waits for it (two seconds at most), and stops listening. */
  close(): Promise<void>;
}

/**
 * Serves a provider inside this process: for tests, and for `PULUMI_DEBUG_PROVIDERS`.
 * @param options.engineAddress where messages go (`host:port`); the engine gives it by Handshake or Attach, too
 */
export async function startProviderServer(
  provider: Provider,
  options: { engineAddress?: string } = {},
): Promise<ProviderServer> {
  const service = new ProviderService(provider);
  if (options.engineAddress !== undefined) service.engine.connect(options.engineAddress);
  const server = new grpc.Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  });
  server.addService(ResourceProviderService, service.implementation());
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return {
    address: `127.0.0.1:${port}`,
    port,
    close: async () => {
      service.cancel();
      await within(SHUTDOWN_DEADLINE_MILLISECONDS, service.idle());
      // Sends the last answers. It waits for the engine to close its connection, which an engine that ends does not do.
      await within(FLUSH_DEADLINE_MILLISECONDS, new Promise<void>((resolve) => server.tryShutdown(() => resolve())));
      server.forceShutdown();
      service.engine.close();
    },
  };
}

async function within(milliseconds: number, done: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([done, new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)))]);
  clearTimeout(timer);
}

/**
 * The whole life of a plugin process: prints its port on standard output, serves, and ends the process when the engine
 * closes its standard input (it does so even when it is killed) or sends SIGTERM or SIGINT.
 * The engine's address is the last plain argument.
 */
export async function serveProvider(provider: Provider): Promise<void> {
  const engineAddress = engineAddressOfArguments(process.argv.slice(2));
  const gone = engineGone(); // before the port is known: the engine may end as soon as it has it
  const server = await startProviderServer(provider, engineAddress === undefined ? {} : { engineAddress });
  process.stdout.write(`${server.port}\n`);
  await gone;
  await server.close();
  process.exit(0);
}

type Handler<Request, Response> = (request: Request, cancelled: AbortSignal) => Promise<Response>;

class ProviderService {
  readonly engine = new EngineLog();
  private readonly provider: Provider;
  private cancellation = new AbortController();
  private readonly running = new Set<Promise<unknown>>();

  constructor(provider: Provider) {
    this.provider = provider;
  }

  /** Aborts every running call, and those that still come, until the engine configures the provider anew. */
  cancel(): void {
    this.cancellation.abort(new Error("cancelled by the engine"));
  }

  /** Resolves when no call runs any more. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.running);
  }

  /** Methods that are not here (Parameterize, Construct, Call, List, GetMapping) are answered as not implemented. */
  implementation(): grpc.UntypedServiceImplementation {
    return {
      handshake: this.unary(this.handshake),
      attach: this.unary(this.attach),
      getPluginInfo: this.unary(this.getPluginInfo),
      getSchema: this.unary(this.getSchema),
      checkConfig: this.unary(this.checkConfig),
      diffConfig: this.unary(this.diffConfig),
      configure: this.unary(this.configure),
      invoke: this.unary(this.invoke),
      check: this.unary(this.check),
      diff: this.unary(this.diff),
      create: this.unary(this.create),
      read: this.unary(this.read),
      update: this.unary(this.update),
      delete: this.unary(this.delete),
      cancel: this.unary(this.cancelAll),
    };
  }

  private unary<Request, Response>(handler: Handler<Request, Response>): grpc.handleUnaryCall<Request, Response> {
    return (call, callback) => {
      const gone = new AbortController();
      call.once("cancelled", () => gone.abort(new Error("the engine gave this call up")));
      const answer = handler.call(this, call.request, AbortSignal.any([this.cancellation.signal, gone.signal])).then(
        (response) => callback(null, response),
        (error: unknown) => callback(grpcError(error)),
      );
      this.running.add(answer);
      void answer.finally(() => this.running.delete(answer));
    };
  }

  private async handshake(request: messages.ProviderHandshakeRequest): Promise<messages.ProviderHandshakeResponse> {
    if (request.getEngineAddress() !== "") this.engine.connect(request.getEngineAddress());
    const response = new messages.ProviderHandshakeResponse();
    response.setAcceptSecrets(true);
    response.setAcceptResources(true);
    response.setAcceptOutputs(true);
    return response;
  }

  private async attach(request: PluginAttach): Promise<Empty> {
    this.engine.connect(request.getAddress());
    return new Empty();
  }

  private async getPluginInfo(): Promise<PluginInfo> {
    const response = new PluginInfo();
    response.setVersion(this.provider.version);
    return response;
  }

  private async getSchema(): Promise<messages.GetSchemaResponse> {
    const response = new messages.GetSchemaResponse();
    response.setSchema(JSON.stringify({ name: this.provider.name, version: this.provider.version }));
    return response;
  }

  private async cancelAll(): Promise<Empty> {
    this.cancel();
    return new Empty();
  }

  private async checkConfig(request: messages.CheckRequest): Promise<messages.CheckResponse> {
    const news = fromStruct(request.getNews());
    const { urn } = identity(request);
    return this.logged(urn, async (log) => {
      const checked = await this.provider.checkConfig?.({ urn, olds: fromStruct(request.getOlds()), news, log });
      return checkResponse(checked ?? { inputs: news }, news);
    });
  }

  private async diffConfig(request: messages.DiffRequest): Promise<messages.DiffResponse> {
    const { urn } = identity(request);
    // The engine sends the old inputs apart since it knows of them; for a provider they are its state, too.
    const olds = fromStruct(request.getOldInputs() ?? request.getOlds());
    const news = fromStruct(request.getNews());
    return this.logged(urn, async (log) =>
      diffResponse((await this.provider.diffConfig?.({ urn, olds, news, log })) ?? { changes: "unknown" }),
    );
  }

  private async configure(request: messages.ConfigureRequest): Promise<messages.ConfigureResponse> {
    this.cancellation = new AbortController();
    await this.logged(request.getUrn() ?? "", (log) =>
      this.provider.configure({ args: configurationOf(request, this.provider.name), log }),
    );
    const response = new messages.ConfigureResponse();
    response.setAcceptsecrets(true);
    response.setSupportspreview(true);
    response.setAcceptresources(true);
    response.setAcceptoutputs(true);
    return response;
  }

  private async invoke(request: messages.InvokeRequest): Promise<messages.InvokeResponse> {
    if (this.provider.invoke === undefined)
      throw new Error(`${this.provider.name} has no function ${request.getTok()}`);
    const args = fromStruct(request.getArgs());
    const answer = await this.provider.invoke(request.getTok(), args);
    const response = new messages.InvokeResponse();
    if ("result" in answer) response.setReturn(toStruct(keepSecrets(answer.result, args)));
    else response.setFailuresList(answer.failures.map(checkFailure));
    return response;
  }

  private async check(request: messages.CheckRequest, cancelled: AbortSignal): Promise<messages.CheckResponse> {
    const news = fromStruct(request.getNews());
    return this.resource(request, cancelled, 0, async (call) => {
      const randomSeed = request.getRandomseed_asU8();
      return checkResponse(
        await this.provider.check({ ...call, olds: fromStruct(request.getOlds()), news, randomSeed }),
        news,
      );
    });
  }

  private async diff(request: messages.DiffRequest, cancelled: AbortSignal): Promise<messages.DiffResponse> {
    return this.resource(request, cancelled, 0, async (call) =>
      diffResponse(
        await this.provider.diff({
          ...call,
          id: request.getId(),
          olds: fromStruct(request.getOlds()),
          news: fromStruct(request.getNews()),
          oldInputs: fromStruct(request.getOldInputs()),
          ignoreChanges: request.getIgnorechangesList(),
        }),
      ),
    );
  }

  private async create(request: messages.CreateRequest, cancelled: AbortSignal): Promise<messages.CreateResponse> {
    const inputs = fromStruct(request.getProperties());
    const timeoutSeconds = request.getTimeout();
    return this.resource(request, cancelled, timeoutSeconds, async (call) => {
      const created = await this.provider
        .create({ ...call, inputs, timeoutSeconds, preview: request.getPreview() })
        .catch(keepSecretsOfFailure(inputs));
      const response = new messages.CreateResponse();
      response.setId(created.id);
      response.setProperties(toStruct(keepSecrets(created.state, inputs)));
      return response;
    });
  }

  private async read(request: messages.ReadRequest, cancelled: AbortSignal): Promise<messages.ReadResponse> {
    const inputs = fromStruct(request.getInputs());
    const state = fromStruct(request.getProperties());
    return this.resource(request, cancelled, request.getTimeout(), async (call) => {
      const found = await this.provider
        .read({ ...call, id: request.getId(), inputs, state })
        .catch(keepSecretsOfFailure(state));
      const response = new messages.ReadResponse();
      if (found === undefined) return response; // an empty id: it is gone
      response.setId(found.id);
      response.setProperties(toStruct(keepSecrets(keepSecrets(found.state, state), inputs)));
      response.setInputs(toStruct(keepSecrets(found.inputs, inputs)));
      return response;
    });
  }

  private async update(request: messages.UpdateRequest, cancelled: AbortSignal): Promise<messages.UpdateResponse> {
    const news = fromStruct(request.getNews());
    const timeoutSeconds = request.getTimeout();
    return this.resource(request, cancelled, timeoutSeconds, async (call) => {
      const updated = await this.provider
        .update({
          ...call,
          id: request.getId(),
          olds: fromStruct(request.getOlds()),
          news,
          oldInputs: fromStruct(request.getOldInputs()),
          timeoutSeconds,
          preview: request.getPreview(),
          ignoreChanges: request.getIgnorechangesList(),
        })
        .catch(keepSecretsOfFailure(news));
      const response = new messages.UpdateResponse();
      response.setProperties(toStruct(keepSecrets(updated.state, news)));
      return response;
    });
  }

  private async delete(request: messages.DeleteRequest, cancelled: AbortSignal): Promise<Empty> {
    const timeoutSeconds = request.getTimeout();
    return this.resource(request, cancelled, timeoutSeconds, async (call) => {
      await this.provider.delete({
        ...call,
        id: request.getId(),
        state: fromStruct(request.getProperties()),
        oldInputs: fromStruct(request.getOldInputs()),
        timeoutSeconds,
      });
      return new Empty();
    });
  }

  /** Runs one call on a resource with what every such call carries. */
  private resource<Result>(
    request: { getUrn(): string; getName(): string; getType(): string },
    cancelled: AbortSignal,
    timeoutSeconds: number,
    run: (call: ResourceCall) => Promise<Result>,
  ): Promise<Result> {
    const signal =
      timeoutSeconds > 0 ? AbortSignal.any([cancelled, AbortSignal.timeout(timeoutSeconds * 1_000)]) : cancelled;
    const known = identity(request);
    return this.logged(known.urn, (log) => run({ ...known, signal, log }));
  }

  /** The engine gets every message of a call before the answer. */
  private async logged<Result>(urn: string, run: (log: ResourceCall["log"]) => Promise<Result>): Promise<Result> {
    const messages = this.engine.forCall(urn);
    try {
      return await run(messages.log);
    } catch (error) {
      // Only the message of an error travels to the user. Of a mistake in the stand-in itself, `pulumi --debug` shows where.
      if (isMistake(error) && error.stack !== undefined) messages.log("debug", error.stack);
      throw error;
    } finally {
      await messages.flush();
    }
  }
}

function isMistake(error: unknown): error is Error {
  return error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
}

/** Engines before 3.134 send the URN alone, `urn:pulumi:stack::project::parents$type::name`; both parts are in it. */
function identity(request: { getUrn(): string; getName(): string; getType(): string }) {
  const urn = request.getUrn();
  const [, , types = "", ...name] = urn.split("::");
  return {
    urn,
    type: request.getType() || (types.split("$").at(-1) ?? ""),
    name: request.getName() || name.join("::"),
  };
}

/** `args` has everything; `variables` (`package:config:key` to text) is what older callers send instead. */
function configurationOf(request: messages.ConfigureRequest, provider: string): PropertyMap {
  if (request.hasArgs()) return fromStruct(request.getArgs());
  const prefix = `${provider}:config:`;
  const variables: Record<string, string> = {};
  request.getVariablesMap().forEach((value, key) => {
    variables[key.startsWith(prefix) ? key.slice(prefix.length) : key] = value;
  });
  return variables;
}

function checkResponse(result: CheckResult, news: PropertyMap): messages.CheckResponse {
  const response = new messages.CheckResponse();
  response.setInputs(toStruct(keepSecrets(result.inputs, news)));
  response.setFailuresList((result.failures ?? []).map(checkFailure));
  return response;
}

function checkFailure({ property, reason }: CheckFailure): messages.CheckFailure {
  const failure = new messages.CheckFailure();
  failure.setProperty(property);
  failure.setReason(reason);
  return failure;
}

const CHANGES = {
  unknown: messages.DiffResponse.DiffChanges.DIFF_UNKNOWN,
  none: messages.DiffResponse.DiffChanges.DIFF_NONE,
  some: messages.DiffResponse.DiffChanges.DIFF_SOME,
} as const;

const KINDS: Record<DiffKind, messages.PropertyDiff.Kind> = {
  add: messages.PropertyDiff.Kind.ADD,
  "add-replace": messages.PropertyDiff.Kind.ADD_REPLACE,
  delete: messages.PropertyDiff.Kind.DELETE,
  "delete-replace": messages.PropertyDiff.Kind.DELETE_REPLACE,
  update: messages.PropertyDiff.Kind.UPDATE,
  "update-replace": messages.PropertyDiff.Kind.UPDATE_REPLACE,
};

function diffResponse(result: DiffResult): messages.DiffResponse {
  const response = new messages.DiffResponse();
  response.setChanges(CHANGES[result.changes]);
  response.setReplacesList([...(result.replaces ?? [])]);
  response.setDiffsList([...(result.diffs ?? [])]);
  response.setDeletebeforereplace(result.deleteBeforeReplace === true);
  if (result.detailedDiff !== undefined) {
    response.setHasdetaileddiff(true);
    for (const [path, { kind, inputDiff }] of Object.entries(result.detailedDiff)) {
      const property = new messages.PropertyDiff();
      property.setKind(KINDS[kind]);
      property.setInputdiff(inputDiff === true);
      response.getDetaileddiffMap().set(path, property);
    }
  }
  return response;
}

/** A half-made resource goes into the state like a whole one: its secrets are kept in the same way. */
function keepSecretsOfFailure(inputs: PropertyMap): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof InitFailed)) throw error;
    throw new InitFailed(error.message, {
      id: error.id,
      state: keepSecrets(error.state, inputs),
      inputs: keepSecrets(error.inputs, inputs),
      reasons: error.reasons,
    });
  };
}

/**
 * The engine shows the message alone, so this is all of an error that travels. A resource that exists but did not become
 * what it should is a detail of the status, in the trailer that Go's gRPC reads such details from.
 */
function grpcError(error: unknown): grpc.ServerErrorResponse {
  const message = (error instanceof Error ? error.message : String(error)).toWellFormed();
  if (!(error instanceof InitFailed)) {
    return Object.assign(new Error(message), { code: grpc.status.UNKNOWN, details: message });
  }
  const failed = new messages.ErrorResourceInitFailed();
  failed.setId(error.id);
  failed.setProperties(toStruct(error.state));
  failed.setInputs(toStruct(error.inputs));
  failed.setReasonsList([...error.reasons]);
  const detail = new Any();
  detail.pack(failed.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
  const status = new Status();
  status.setCode(grpc.status.UNKNOWN);
  status.setMessage(message);
  status.addDetails(detail);
  const metadata = new grpc.Metadata();
  metadata.add("grpc-status-details-bin", Buffer.from(status.serializeBinary()));
  return Object.assign(new Error(message), { code: grpc.status.UNKNOWN, details: message, metadata });
}
