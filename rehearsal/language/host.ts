/** Serves `pulumirpc.LanguageRuntime`: the engine asks it to run the program, and what the program needs. */
import * as grpc from "@grpc/grpc-js";
import { LanguageRuntimeService } from "@pulumi/pulumi/proto/language_grpc_pb";
import * as messages from "@pulumi/pulumi/proto/language_pb";
import { PackageDependency, PluginDependency, PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { type Dependency, programDependencies, requiredProviders } from "./packages";
import { type ProgramRun, type RunningProgram, startProgram } from "./program";

const MAX_MESSAGE_BYTES = 400 * 1024 * 1024;

export interface LanguageHost {
  readonly port: number;
  /** Ends running programs and stops listening. */
  close(): Promise<void>;
}

/**
 * Starts the language host in this process. Policy packs and components written in Node (RunPlugin), and code generation, are not its
 * business: the engine is told that they are not implemented.
 * @param version what it says of itself
 * @param engineAddress `host:port`; the program reports to it
 */
export async function startLanguageHost(version: string, engineAddress: string): Promise<LanguageHost> {
  const host = new Host(version, engineAddress);
  const server = new grpc.Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  });
  server.addService(LanguageRuntimeService, host.implementation());
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return {
    port,
    close: async () => {
      await host.stopPrograms();
      server.forceShutdown();
    },
  };
}

class Host {
  private readonly version: string;
  private engineAddress: string;
  private readonly running = new Set<RunningProgram>();

  constructor(version: string, engineAddress: string) {
    this.version = version;
    this.engineAddress = engineAddress;
  }

  implementation(): grpc.UntypedServiceImplementation {
    return {
      handshake: unary((request: messages.LanguageHandshakeRequest) => {
        if (request.getEngineAddress() !== "") this.engineAddress = request.getEngineAddress();
        return new messages.LanguageHandshakeResponse();
      }),
      getPluginInfo: unary(() => {
        const info = new PluginInfo();
        info.setVersion(this.version);
        return info;
      }),
      about: unary(() => {
        const about = new messages.AboutResponse();
        about.setExecutable(process.execPath);
        about.setVersion(process.version);
        return about;
      }),
      getRequiredPlugins: unary((request: messages.GetRequiredPluginsRequest) => {
        const response = new messages.GetRequiredPluginsResponse();
        response.setPluginsList(requiredProviders(directoryOf(request)).map(pluginDependency));
        return response;
      }),
      getRequiredPackages: unary((request: messages.GetRequiredPackagesRequest) => {
        const response = new messages.GetRequiredPackagesResponse();
        response.setPackagesList(requiredProviders(directoryOf(request)).map(packageDependency));
        return response;
      }),
      getProgramDependencies: unary((request: messages.GetProgramDependenciesRequest) => {
        const response = new messages.GetProgramDependenciesResponse();
        response.setDependenciesList(
          programDependencies(directoryOf(request), request.getTransitivedependencies()).map(({ name, version }) => {
            const dependency = new messages.DependencyInfo();
            dependency.setName(name);
            dependency.setVersion(version);
            return dependency;
          }),
        );
        return response;
      }),
      runtimeOptionsPrompts: unary(() => new messages.RuntimeOptionsResponse()),
      template: unary(() => new messages.TemplateResponse()),
      // The rehearsal installs the program's dependencies before it starts the engine.
      installDependencies: (call: grpc.ServerWritableStream<unknown, messages.InstallDependenciesResponse>) =>
        call.end(),
      run: unary((request: messages.RunRequest) => this.run(request)),
      cancel: unary(async () => {
        await this.stopPrograms();
        return new Empty();
      }),
    };
  }

  async stopPrograms(): Promise<void> {
    await Promise.all([...this.running].map((program) => program.stop()));
  }

  private async run(request: messages.RunRequest): Promise<messages.RunResponse> {
    const program = startProgram(programRun(request, this.engineAddress));
    this.running.add(program);
    const outcome = await program.outcome;
    this.running.delete(program);
    const response = new messages.RunResponse();
    response.setBail(outcome.kind === "reported");
    if (outcome.kind === "failed") response.setError(outcome.error);
    return response;
  }
}

function programRun(request: messages.RunRequest, engineAddress: string): ProgramRun {
  const info = request.getInfo();
  const options = (info?.getOptions()?.toJavaScript() ?? {}) as { typescript?: boolean; nodeargs?: string };
  const config: Record<string, string> = {};
  request.getConfigMap().forEach((value, key) => {
    config[key] = value;
  });
  return {
    rootDirectory: info?.getRootDirectory() ?? "",
    programDirectory: directoryOf(request),
    entryPoint: info?.getEntryPoint() || request.getProgram(),
    args: request.getArgsList(),
    monitorAddress: request.getMonitorAddress(),
    engineAddress,
    project: request.getProject(),
    stack: request.getStack(),
    organization: request.getOrganization(),
    parallel: request.getParallel(),
    dryRun: request.getDryrun(),
    config,
    configSecretKeys: request.getConfigsecretkeysList(),
    typescript: options.typescript !== false,
    nodeArgs: (options.nodeargs ?? "").split(/\s+/).filter((argument) => argument !== ""),
  };
}

/** Newer engines describe the program in `info`; the older fields come along in some calls. */
function directoryOf(request: { getInfo(): messages.ProgramInfo | undefined; getPwd?(): string }): string {
  return request.getInfo()?.getProgramDirectory() || (request.getPwd?.() ?? "") || process.cwd();
}

function pluginDependency({ name, version }: Dependency): PluginDependency {
  const dependency = new PluginDependency();
  dependency.setName(name);
  dependency.setKind("resource");
  dependency.setVersion(`v${version}`);
  return dependency;
}

function packageDependency({ name, version }: Dependency): PackageDependency {
  const dependency = new PackageDependency();
  dependency.setName(name);
  dependency.setKind("resource");
  dependency.setVersion(`v${version}`);
  return dependency;
}

function unary<Request, Response>(
  handle: (request: Request) => Response | Promise<Response>,
): grpc.handleUnaryCall<Request, Response> {
  return (call, callback) => {
    Promise.resolve(call.request)
      .then(handle)
      .then(
        (response) => callback(null, response),
        (error: unknown) => callback({ code: grpc.status.UNKNOWN, details: String((error as Error).message ?? error) }),
      );
  };
}
