/** Messages to the engine, which shows them under the resource they belong to. */
import * as grpc from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";
import type { ResourceCall } from "./provider";

type Log = ResourceCall["log"];

/** How long an answer waits for the messages sent before it. The engine is on this machine: longer means it is gone. */
const FLUSH_DEADLINE_MILLISECONDS = 2_000;

const SEVERITIES = {
  debug: LogSeverity.DEBUG,
  info: LogSeverity.INFO,
  warning: LogSeverity.WARNING,
  error: LogSeverity.ERROR,
} as const;

/**
 * The messages of one call. They are sent in order, and `flush` waits for them, so that the engine has all of them
 * before the call's own answer. Without an engine they are dropped; a message that cannot be delivered fails nothing.
 */
export interface CallLog {
  log: Log;
  flush(): Promise<void>;
}

export class EngineLog {
  private client: EngineClient | undefined;

  /** Sends from now on to the engine at this address (`host:port`). */
  connect(address: string): void {
    this.close();
    this.client = new EngineClient(address, grpc.credentials.createInsecure());
  }

  forCall(urn: string): CallLog {
    let sent: Promise<void> = Promise.resolve();
    return {
      log: (severity, message, options) => {
        const client = this.client;
        if (client === undefined) return;
        const request = new LogRequest();
        request.setSeverity(SEVERITIES[severity]);
        request.setMessage(message.toWellFormed());
        request.setUrn(urn);
        request.setEphemeral(options?.status === true);
        sent = sent.then(() => deliver(client, request));
      },
      flush: () => sent,
    };
  }

  close(): void {
    this.client?.close();
    this.client = undefined;
  }
}

function deliver(client: EngineClient, request: LogRequest): Promise<void> {
  const deadline = Date.now() + FLUSH_DEADLINE_MILLISECONDS;
  return new Promise((resolve) => {
    client.log(request, new grpc.Metadata(), { deadline }, () => resolve());
  });
}
