import * as grpc from "@grpc/grpc-js";
import { EventsService, type IEventsServer } from "@pulumi/pulumi/proto/events_grpc_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import type { EngineEvent } from "./engine";

/** Whole manifests and states travel in events. */
const MAX_MESSAGE_BYTES = 400 * 1024 * 1024;

/**
 * Takes the engine's events as they happen. (As a file, `--event-log` starts anew when an `up` goes from its preview to the update,
 * so that a reader loses its place.)
 */
export class EventStream {
  /** For `--event-log`. */
  readonly address: string;
  readonly #server: grpc.Server;

  private constructor(server: grpc.Server, port: number) {
    this.#server = server;
    this.address = `tcp://127.0.0.1:${port}`;
  }

  static async open(onEvent: (event: EngineEvent) => void): Promise<EventStream> {
    const server = new grpc.Server({ "grpc.max_receive_message_length": MAX_MESSAGE_BYTES });
    const implementation: IEventsServer = {
      streamEvents: (call, done) => {
        call.on("data", (request: { getEvent(): string }) => onEvent(JSON.parse(request.getEvent()) as EngineEvent));
        call.on("end", () => done(null, new Empty()));
        call.on("error", () => undefined); // the engine was ended in the middle
      },
    };
    server.addService(EventsService, implementation);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    return new EventStream(server, port);
  }

  close(): void {
    this.#server.forceShutdown();
  }
}
