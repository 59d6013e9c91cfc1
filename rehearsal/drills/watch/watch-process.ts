import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { EtcdAccess } from "./members";
import type { ApiAccess } from "./servers";
import type { ServiceName } from "./service-client";
import type { WatchReport } from "./watch";

export interface WatchRequest {
  api: ApiAccess;
  etcd: EtcdAccess;
  service: ServiceName;
  /** A loopback address for each Kubernetes node: where its simulated pods serve. */
  hosts: Readonly<Record<string, string>>;
}

/** What the process is told, over its channel: keys have no place in arguments. */
export type Order =
  ({ type: "begin" } & WatchRequest) | { type: "power off" | "power on"; node: string } | { type: "end" };

export type Answer = { type: "begun" } | { type: "ended"; report: WatchReport } | { type: "failed"; reason: string };

/**
 * A watch in a process of its own: the rehearsal's own process plays two clouds and three machines, and would make it look
 * away when it is busy. It ends when this process does.
 */
export class WatchProcess {
  readonly #child: ChildProcess;
  #answered: (answer: Answer) => void = () => undefined;

  private constructor() {
    // Under Jest as under tsx this process knows how to load TypeScript; a new one has to be told.
    this.#child = fork(join(__dirname, "main.ts"), [], {
      execArgv: ["--import", pathToFileURL(require.resolve("tsx")).href],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#child.on("message", (answer: Answer) => this.#answered(answer));
    this.#child.once("error", (error) => this.#answered({ type: "failed", reason: error.message }));
    this.#child.once("exit", (code) => this.#answered({ type: "failed", reason: `it ended with exit code ${code}` }));
  }

  /** Returns when everything has been seen once. */
  static async begin(request: WatchRequest): Promise<WatchProcess> {
    const watch = new WatchProcess();
    await watch.#ask({ type: "begin", ...request });
    return watch;
  }

  /** What happens to a machine's power, for the pods on it. */
  power(node: string, on: boolean): void {
    if (this.#child.connected) this.#child.send({ type: on ? "power on" : "power off", node } satisfies Order);
  }

  async end(): Promise<WatchReport> {
    const answer = await this.#ask({ type: "end" });
    if (answer.type !== "ended") throw new Error("the watch ended without a report");
    return answer.report;
  }

  #ask(order: Order): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#answered = (answer) => {
        this.#answered = () => undefined;
        if (answer.type === "failed") reject(new Error(`the watch failed: ${answer.reason}`));
        else resolve(answer);
      };
      if (this.#child.connected) this.#child.send(order);
      else this.#answered({ type: "failed", reason: "its process has ended" });
    });
  }
}
