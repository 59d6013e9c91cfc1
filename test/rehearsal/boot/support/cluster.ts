import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Platform } from "../../../../model/platform";
import { type BootedMachines, createBootedMachines } from "../../../../rehearsal/boot";
import type { Machine } from "../../../../rehearsal/emulators/hetzner/machine-host";
import { honeyduePlatform } from "../../../support/platform";
import { makeClient } from "../../machines/support/authorities";
import { programMachines } from "../../machines/support/program-machines";

/** Why servers cannot boot here, the base tree built where it was missing; undefined when they can. */
export function whyNotHere(): string | undefined {
  const { status, stderr } = spawnSync(process.execPath, ["--import", "tsx", join(__dirname, "prepare.ts")], {
    encoding: "utf8",
  });
  return status === 0 ? undefined : stderr.trim();
}

/** Status answer of a booting server, as an operator gets it. */
export interface Status {
  node: string;
  stage: string;
  reason: string;
  /** Since the stage began. */
  seconds: number;
  generation: number;
  definition: string;
  fresh: boolean;
  log: string[];
}

/** Three servers of the honeyDue platform, with the user-data that the program makes for them. */
export class BootedCluster {
  readonly machines: BootedMachines;
  readonly platform: Platform;
  readonly servers: readonly Machine[];
  readonly #client: { certificatePem: string; keyPem: string };

  private constructor(
    machines: BootedMachines,
    platform: Platform,
    servers: readonly Machine[],
    client: { certificatePem: string; keyPem: string },
  ) {
    this.machines = machines;
    this.platform = platform;
    this.servers = servers;
    this.#client = client;
  }

  /**
   * @param k3s the executable that the release site gives as K3s
   * @param tools what it finds in the servers
   */
  static async open(
    loopbackPrefix: string,
    k3s: string,
    tools: Readonly<Record<string, { path: string }>> = {},
  ): Promise<BootedCluster> {
    const machines = await createBootedMachines({ tools, directory: mkdtempSync(join(tmpdir(), "trivet-boot-")) });
    const binary = machines.publish("k3s", k3s);
    const platform = honeyduePlatform({ k3sBinaries: { x86: binary, arm: binary } });
    const { machines: servers, secrets } = await programMachines(platform, loopbackPrefix);
    const client = await makeClient(secrets.authorities["client-ca"], "test", "system:masters");
    return new BootedCluster(machines, platform, servers, client);
  }

  /** The server of this letter. */
  server(name: "a" | "b" | "c"): Machine {
    return this.servers[name.charCodeAt(0) - "a".charCodeAt(0)]!;
  }

  console(name: "a" | "b" | "c"): string {
    return this.machines.console(this.server(name).id).join("\n");
  }

  /** The console since the last power on. */
  bootOf(name: "a" | "b" | "c"): string {
    return this.console(name).split("rehearsal: power on").at(-1)!;
  }

  run(name: "a" | "b" | "c", script: string): Promise<string> {
    return this.machines.run(this.server(name).id, "sh", "-c", script);
  }

  /** What a booting server answers on its API port to an operator; undefined while nobody answers there, or K3s does. */
  async status(name: "a" | "b" | "c"): Promise<Status | undefined> {
    return (await this.ask<{ trivet?: Status }>(name, "/readyz"))?.trivet;
  }

  /** The JSON that a server's API port answers to an operator; undefined where it is none, or nobody answers. */
  async ask<T>(name: "a" | "b" | "c", path: string): Promise<T | undefined> {
    const text = await new Promise<string>((resolve) => {
      const asked = request(
        {
          host: this.server(name).publicIpv4!,
          port: 6443,
          path,
          cert: this.#client.certificatePem,
          key: this.#client.keyPem,
          rejectUnauthorized: false,
          agent: false,
          timeout: 2_000,
        },
        (response) => {
          let body = "";
          response.on("data", (chunk: Buffer) => (body += chunk.toString()));
          response.on("end", () => resolve(body));
          response.on("error", () => resolve(""));
        },
      );
      asked.on("error", () => resolve(""));
      asked.on("timeout", () => asked.destroy());
      asked.end();
    });
    try {
      return JSON.parse(text) as T;
    } catch {
      return undefined;
    }
  }

  /** Waits until something holds; with every console in the error when it never does. */
  async until<T>(
    what: string,
    look: () => Promise<T | undefined | false> | T | undefined | false,
    seconds = 60,
  ): Promise<T> {
    const deadline = performance.now() + seconds * 1_000;
    for (;;) {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      if (performance.now() > deadline)
        throw new Error(
          `not within ${seconds} s: ${what}\n${(["a", "b", "c"] as const).map((name) => this.console(name)).join("\n\n")}`,
        );
      await delay(100);
    }
  }
}
