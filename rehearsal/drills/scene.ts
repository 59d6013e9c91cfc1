import { readFileSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse } from "yaml";
import { EtcdApi } from "../k3s/etcd/etcd-api";
import type { KubernetesObject } from "../k3s/kubernetes-api";
import type { BootFault } from "../machines";
import type { CloudClient, ServerView } from "../rehearse/cloud-client";
import { type EngineEvent, type EngineRun, foundByRefresh, type RunOptions } from "../rehearse/engine";
import type { PowerEvent, Rehearsal } from "../rehearse/rehearsal";
import { type CommandRun, runTrivet } from "./commands";
import type { Check } from "./story";
import { Member, type EtcdAccess } from "./watch/members";
import { type ApiAccess, accessFrom, ApiServers } from "./watch/servers";
import type { ServiceName } from "./watch/service-client";
import { describeWatch, type WatchReport } from "./watch/watch";
import { WatchProcess } from "./watch/watch-process";

/** How long the platform gets to become well after something was done to it. */
const WELL_WITHIN_MILLISECONDS = 90_000;

const CONSOLE_LINES = 25;

const TLS_FOLDER = "root/var/lib/rancher/k3s/server/tls";

/** A server at Hetzner with what the drills look at. */
export type DrillServer = ServerView & { labels: Record<string, string>; created: string };

/** The power of emulated machines, as told by the rehearsal. */
export interface PowerLine {
  onPower(listener: (event: PowerEvent) => void): void;
}

export interface SceneParts {
  rehearsal: Rehearsal;
  power: PowerLine;
  say: (line: string) => void;
  signal: AbortSignal;
}

/** Ends the drill, not the program: what follows would make no sense. The check that failed is noted already. */
export class DrillStopped extends Error {}

/** What a story does and looks at. Every step prints a line; a check that fails lets the story go on. */
export class Scene {
  readonly rehearsal: Rehearsal;
  readonly checks: Check[] = [];
  readonly signal: AbortSignal;
  watchReport: WatchReport | undefined;
  readonly #power: PowerLine;
  readonly #say: (line: string) => void;
  #watch: WatchProcess | undefined;

  constructor({ rehearsal, power, say, signal }: SceneParts) {
    this.rehearsal = rehearsal;
    this.signal = signal;
    this.#power = power;
    this.#say = say;
  }

  // ---- telling -------------------------------------------------------------------------------------------------------------------

  given(text: string): void {
    this.#say(`given   ${text}`);
  }

  when(text: string): void {
    this.#say(`when    ${text}`);
  }

  note(text: string): void {
    // A folder of this machine tells nobody anything, and transcripts go into the documents.
    for (const line of text.replaceAll(this.rehearsal.directory, "…").split("\n")) this.#say(`        ${line}`);
  }

  /** Notes a check. `detail` is shown where it fails. */
  then(text: string, ok: boolean, detail?: string): boolean {
    this.checks.push({ text, ok, ...(ok || detail === undefined ? {} : { detail }) });
    this.#say(`then    ${ok ? "ok  " : "FAIL"}  ${text}`);
    if (!ok && detail !== undefined) this.note(detail);
    return ok;
  }

  /** As `then`, but without it the rest of the story makes no sense. */
  must(text: string, ok: boolean, detail?: string): void {
    if (!this.then(text, ok, detail)) throw new DrillStopped(text);
  }

  // ---- what a user does ------------------------------------------------------------------------------------------------------------

  /** `pulumi config set`, as a user types it; undefined takes the setting away. Keys are those of the settings: `revisions.b`. */
  async set(key: string, value: string | number | boolean | undefined): Promise<void> {
    this.note(
      value === undefined
        ? `$ pulumi config rm --path trivet:${key}`
        : `$ pulumi config set --path trivet:${key} ${value}`,
    );
    await this.rehearsal.engine.setConfig(`trivet:${key}`, value === undefined ? undefined : String(value));
  }

  /** A person changes the definition; the story has a checkout of its own (`stage.checkout`). */
  rewrite(file: string, from: string, to: string): void {
    const path = join(this.rehearsal.projectDirectory, file);
    const text = readFileSync(path, "utf8");
    if (text.split(from).length !== 2) throw new Error(`${file} has ${text.split(from).length - 1} times: ${from}`);
    writeFileSync(path, text.replace(from, to));
    const lines = (sign: string, part: string): string[] =>
      part.split("\n").flatMap((line) => (line.trim() === "" ? [] : [`${sign} ${line}`]));
    this.note([file, ...lines("-", from), ...lines("+", to)].join("\n"));
  }

  /** The same for a secret, whose value is nobody's to read. */
  async setSecret(key: string, value: string): Promise<void> {
    this.note(`$ pulumi config set --secret trivet:${key} < …`);
    await this.rehearsal.engine.setSecret(`trivet:${key}`, value);
  }

  /** Raises a node's number in the settings, so that the next `pulumi up` makes it anew. Returns how to take that back. */
  async raiseRevision(node: string): Promise<() => Promise<void>> {
    const { config } = parse(readFileSync(this.rehearsal.engine.configFile, "utf8")) as {
      config: { "trivet:revisions"?: Record<string, number> };
    };
    const before = config["trivet:revisions"]?.[node];
    await this.set(`revisions.${node}`, (before ?? 1) + 1);
    return () => this.set(`revisions.${node}`, before);
  }

  /** `pulumi up`, with the lines it prints while it waits. */
  async up(options: RunOptions & { environment?: Record<string, string> } = {}): Promise<EngineRun> {
    const variables = Object.entries(options.environment ?? {}).map(([name, value]) => `${name}=${value} `);
    this.note(`$ ${variables.join("")}pulumi up${(options.args ?? []).map((arg) => ` ${arg}`).join("")}`);
    const run = await this.rehearsal.run("up", this.#shown(options));
    const { create = 0, update = 0, replace = 0, delete: deleted = 0 } = run.changes;
    this.note(
      `pulumi up ${run.ok ? "ended well" : `failed (exit code ${run.exitCode})`} after ${run.seconds.toFixed(1)} s: ` +
        `${create} created, ${update} updated, ${replace} replaced, ${deleted} deleted`,
    );
    return run;
  }

  async preview(options: RunOptions = {}): Promise<EngineRun> {
    this.note(`$ pulumi preview${(options.args ?? []).map((arg) => ` ${arg}`).join("")}`);
    return this.rehearsal.run("preview", options);
  }

  async destroy(options: RunOptions = {}): Promise<EngineRun> {
    this.note(`$ pulumi destroy${(options.args ?? []).map((arg) => ` ${arg}`).join("")}`);
    return this.rehearsal.run("destroy", this.#shown(options));
  }

  /** The `trivet` command, as a process of its own. `daysAhead`: its clock; everybody else's stays. */
  async trivet(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    { daysAhead = 0 } = {},
  ): Promise<CommandRun> {
    const said = Object.entries(environment).map(([name, value]) => `${name}=${value} `);
    this.note(`$ ${said.join("")}trivet ${args.join(" ")}`);
    const told = new Set<string>();
    const onLine = (line: string, stream: "stdout" | "stderr"): void => {
      // What the command says in the end is told whole; of its progress, what is new.
      if (stream === "stdout") return this.note(line);
      const text = newsIn(line);
      const gist = text.replaceAll(/\d+/g, "");
      if (text === "" || told.has(gist)) return;
      told.add(gist);
      this.note(text);
    };
    const run = await runTrivet(this.rehearsal, args, { environment, daysAhead, onLine, signal: this.signal });
    this.note(`trivet ${args[0] ?? ""} ended with exit code ${run.exitCode} after ${run.seconds.toFixed(1)} s`);
    return run;
  }

  /** What a run says while it waits, and nothing of what Pulumi prints besides. */
  #shown(options: RunOptions): RunOptions {
    const told = new Set<string>();
    return {
      signal: this.signal,
      ...options,
      onEvent: (event: EngineEvent) => {
        options.onEvent?.(event);
        const { diagnosticEvent: said } = event;
        // "info#err" is what the program and the plug-ins print by themselves.
        if (!said || !["info", "warning", "error"].includes(said.severity)) return;
        const text = said.message.trim();
        // The kubernetes provider tells how each Deployment comes along.
        if (said.severity === "info" && said.urn?.includes("$kubernetes:")) return;
        // What differs from an earlier line in its seconds alone is no news; a refused cluster says the same of each of eighty objects.
        const gist = text.replaceAll(/\d+/g, "");
        if (text === "" || text === "update failed" || told.has(gist)) return;
        told.add(gist);
        this.note(text);
      },
    };
  }

  // ---- what happens to the platform ------------------------------------------------------------------------------------------------

  /** All servers at Hetzner by node name (a, b, c, general-1, …). */
  async servers(): Promise<Record<string, DrillServer>> {
    const { servers } = await this.#hetzner.get<{ servers: DrillServer[] }>("/servers?per_page=50");
    return Object.fromEntries(servers.map((server) => [server.labels["node"] ?? server.name, server]));
  }

  async server(node: string): Promise<DrillServer> {
    const found = (await this.servers())[node];
    if (!found) throw new Error(`there is no server ${node}`);
    return found;
  }

  /** Deletes a server as a person in Hetzner's console would. */
  async deleteServer(node: string): Promise<void> {
    const { id, name } = await this.server(node);
    this.when(`somebody deletes server ${name} in Hetzner's console`);
    await this.#act("DELETE", `/servers/${id}`);
  }

  /** Cuts the power of a server, as a broken machine would. */
  async powerOff(node: string): Promise<void> {
    const { id, name } = await this.server(node);
    this.when(`server ${name} loses its power`);
    await this.#act("POST", `/servers/${id}/actions/poweroff`);
  }

  async powerOn(node: string): Promise<void> {
    const { id, name } = await this.server(node);
    this.note(`server ${name} is switched on`);
    await this.#act("POST", `/servers/${id}/actions/poweron`);
  }

  /**
   * Rebuilds servers in Hetzner's console, without Trivet: each gets an empty disk after so many milliseconds, and boots with the user-data
   * that it had.
   */
  async rebuildBare(order: readonly (readonly [node: string, afterMilliseconds: number])[]): Promise<void> {
    const servers = await this.servers();
    const ids = order.map(([node]) => servers[node]?.id);
    // All are off before the first one is on again: those that begin anew must not meet those that have data.
    for (const id of order.length > 1 ? ids : []) await this.#act("POST", `/servers/${id}/actions/poweroff`);
    await Promise.all(
      order.map(async ([node, afterMilliseconds]) => {
        await delay(afterMilliseconds, undefined, { signal: this.signal });
        const id = servers[node]?.id ?? 0;
        const image = String(this.rehearsal.hetzner.project.servers.get(id)?.imageId);
        await this.#act("POST", `/servers/${id}/actions/rebuild`, { image });
      }),
    );
  }

  /** What is to go wrong with each boot of this node's server; undefined ends it. */
  async fault(node: string, fault: BootFault | undefined): Promise<void> {
    this.rehearsal.machines.setFault((await this.server(node)).id, fault);
  }

  /** Machines of these nodes do not boot when they are switched on, whether they exist already or not. */
  deadMachines(...nodes: readonly string[]): void {
    this.rehearsal.deadMachines.clear();
    for (const node of nodes) this.rehearsal.deadMachines.add(`${this.rehearsal.stack.name}-${node}`);
  }

  /** The kubelet of a node stops or goes on: no heartbeat, no status; everything else on the server runs. */
  async kubelet(node: string, does: "hangs" | "goes on"): Promise<void> {
    const { id, name } = await this.server(node);
    const { booted } = this.rehearsal;
    if (booted) return void (await booted.run(id, "pkill", does === "hangs" ? "-STOP" : "-CONT", "-x", "kwok"));
    process.kill(this.#processOf(`kwok ${name}`), does === "hangs" ? "SIGSTOP" : "SIGCONT");
  }

  /** The process of a pod that is played by one ends as by a crash: no goodbye, no time to finish. */
  crash(pod: string): void {
    process.kill(this.#processOf(pod), "SIGKILL");
  }

  /** Of those that run on the machines; what it is may stand behind its name, in brackets. */
  #processOf(name: string): number {
    const register = resolve(this.rehearsal.directory, "machines/processes.json");
    const { processes } = JSON.parse(readFileSync(register, "utf8")) as { processes: { name: string; pid: number }[] };
    const found = processes.find((process) => process.name === name || process.name.startsWith(`${name} (`));
    if (!found) throw new Error(`no process ${name} runs`);
    return found.pid;
  }

  /** `k3s etcd-snapshot save` on a server; the snapshot's name. */
  async saveSnapshot(node: string): Promise<string> {
    const snapshot = await this.rehearsal.machines.saveSnapshot((await this.server(node)).id);
    this.note(`on server ${node}: k3s etcd-snapshot save: ${snapshot}`);
    return snapshot;
  }

  /** What the server's console shows. */
  async console(node: string): Promise<readonly string[]> {
    return this.rehearsal.machines.console((await this.server(node)).id);
  }

  /** The end of every server's console: where a drill failed, it is the first thing to look at. */
  async showConsoles(): Promise<void> {
    for (const { id, name, status } of Object.values(await this.servers())) {
      this.note(`console of ${name} (${status}):`);
      for (const line of this.rehearsal.machines.console(id).slice(-CONSOLE_LINES)) this.note(`  ${line}`);
    }
  }

  get #hetzner(): CloudClient {
    return this.rehearsal.client("hetzner");
  }

  /** Does something in Hetzner's console, and waits until its action has ended: nothing else may be asked of a server meanwhile. */
  async #act(method: string, path: string, body?: unknown): Promise<void> {
    const { action } = await this.#hetzner.send<{ action: { id: number } }>(method, path, body);
    await this.until(`Hetzner has done ${method} ${path}`, async () => {
      const { action: now } = await this.#hetzner.get<{ action: { status: string } }>(`/actions/${action.id}`);
      return now.status === "success";
    });
  }

  // ---- what is looked at -----------------------------------------------------------------------------------------------------------

  /** The way into the cluster that the program gives; behind the firewall where that lets no operator in. */
  async access(): Promise<ApiAccess> {
    const { nodeAddresses } = (await this.rehearsal.engine.outputs()) as { nodeAddresses: Record<string, string> };
    const servers = await this.servers();
    const isServer = (node: string): boolean => (servers[node]?.labels["role"] ?? "server") === "server";
    const addresses = Object.entries(nodeAddresses)
      .filter(([node]) => isServer(node))
      .map(([node, address]) => [node, this.rehearsal.listensAt(address)]);
    return accessFrom(await this.rehearsal.kubeconfig(), Object.fromEntries(addresses) as Record<string, string>);
  }

  /** Asks the Kubernetes API, of whichever server answers. */
  async kubernetes<T = KubernetesObject>(
    method: string,
    path: string,
    body?: { type: string; value: unknown },
  ): Promise<T> {
    const servers = new ApiServers(await this.access());
    try {
      return await servers.call<T>(method, path, body);
    } finally {
      await servers.close();
    }
  }

  async nodes(): Promise<KubernetesNode[]> {
    return (await this.kubernetes<{ items: KubernetesNode[] }>("GET", "/api/v1/nodes")).items;
  }

  /** K3s version of each node, by host name. */
  async versions(): Promise<Record<string, string>> {
    return Object.fromEntries(
      (await this.nodes()).map(({ metadata, status }) => [metadata.name, status?.nodeInfo?.kubeletVersion ?? "?"]),
    );
  }

  /** A file of a server's disk; undefined where there is none. */
  async readFile(node: string, path: string): Promise<string | undefined> {
    const { id } = await this.server(node);
    return readFile(join(this.rehearsal.directory, "machines", String(id), "root", path), "utf8").catch(
      () => undefined,
    );
  }

  /** Etcd's credentials lie on every server's disk, as K3s puts them. */
  async etcdAccess(): Promise<EtcdAccess> {
    const { addresses } = await this.access();
    const servers = await this.servers();
    for (const node of Object.keys(addresses)) {
      const folder = resolve(this.rehearsal.directory, "machines", String(servers[node]?.id), TLS_FOLDER, "etcd");
      const read = (name: string): string => readFileSync(resolve(folder, name), "utf8");
      try {
        return {
          addresses,
          authorityPem: read("server-ca.crt"),
          client: { certificatePem: read("client.crt"), keyPem: read("client.key") },
        };
      } catch {
        // this server is gone or fresh: the next one
      }
    }
    throw new Error("no server's disk holds etcd's client certificate");
  }

  /** The node whose member leads etcd. */
  async leader(): Promise<string> {
    const { addresses, authorityPem, client } = await this.etcdAccess();
    let found: string | undefined;
    await this.until("etcd has a leader", async () => {
      for (const [name, address] of Object.entries(addresses)) {
        const member = new EtcdApi(`https://${address}:2379`, authorityPem, client);
        const { leader, memberId } = await member.status().finally(() => member.close());
        if (leader === memberId) found = name;
      }
      return found !== undefined;
    });
    return found!;
  }

  /** Names of the members that answer as healthy voters. */
  async healthyVoters(): Promise<string[]> {
    const etcd = await this.etcdAccess();
    const members = Object.entries(etcd.addresses).map(([name, address]) => new Member(name, address, etcd));
    await Promise.all(members.map((member) => member.ask(this.signal)));
    await Promise.all(members.map((member) => member.close()));
    return members.filter(({ isHealthy }) => isHealthy).map(({ name }) => name);
  }

  /** Waits until something is so. Throws, with what it waited for, when it does not come about. */
  async until(what: string, isSo: () => Promise<boolean>, milliseconds = WELL_WITHIN_MILLISECONDS): Promise<void> {
    const deadline = performance.now() + milliseconds;
    for (;;) {
      this.signal.throwIfAborted();
      let problem = "";
      try {
        if (await isSo()) return;
      } catch (error) {
        problem = `: ${(error as Error).message}`;
      }
      if (performance.now() > deadline)
        throw new Error(`waited ${Math.round(milliseconds / 1000)} s in vain: ${what}${problem}`);
      await delay(250, undefined, { signal: this.signal });
    }
  }

  /** As `until`, as a check: a line instead of an error. */
  async thenSoon(
    text: string,
    isSo: () => Promise<boolean>,
    milliseconds = WELL_WITHIN_MILLISECONDS,
  ): Promise<boolean> {
    try {
      await this.until(text, isSo, milliseconds);
      return this.then(text, true);
    } catch (error) {
      if (this.signal.aborted) throw error;
      return this.then(text, false, (error as Error).message);
    }
  }

  /** Every node Ready, every member a healthy voter, every pod running, every route whole. */
  async thenWell(): Promise<boolean> {
    let found = "";
    const text = "all nodes Ready, all members healthy voters, all pods running, all routes whole";
    const isWell = async (): Promise<boolean> => {
      const { nodes, pods, routes, requests } = await this.rehearsal.inspect({ setup: 0, total: 0 });
      const voters = await this.healthyVoters();
      const servers = Object.keys((await this.access()).addresses);
      const machines = Object.values(await this.servers()).map(({ name }) => name);
      const known = nodes.map(({ name }) => name);
      const broken = [
        ...machines.filter((name) => !known.includes(name)).map((name) => `${name} is no node`),
        ...known.filter((name) => !machines.includes(name)).map((name) => `node ${name} has no server`),
        ...nodes.filter(({ ready }) => !ready).map(({ name }) => `${name} is not Ready`),
        ...(voters.length === servers.length ? [] : [`${voters.length} of ${servers.length} healthy voters`]),
        ...(pods.running === pods.wanted ? [] : [`${pods.running} of ${pods.wanted} pods running`]),
        ...routes.flatMap((route) => route.problems.map((problem) => `${route.host}: ${problem}`)),
        ...requests.flatMap(({ url, problems }) => problems.map((problem) => `${url}: ${problem}`)),
      ];
      found = broken.join("; ");
      return broken.length === 0;
    };
    try {
      await this.until(text, isWell);
      return this.then(text, true);
    } catch (error) {
      if (this.signal.aborted) throw error;
      return this.then(text, false, found || (error as Error).message);
    }
  }

  /** A second `pulumi up` finds nothing to do. */
  async thenIdle(): Promise<void> {
    const run = await this.rehearsal.run("up", { signal: this.signal, args: ["--skip-preview"] });
    this.then(
      "another pulumi up changes nothing",
      run.ok && run.steps.length === 0,
      [...run.errors, ...run.steps.map(({ op, urn }) => `${op} ${urn.split("::").pop()}`)].join("; "),
    );
  }

  /** What the state holds is what there is, in both clouds and in the cluster. */
  async thenRefreshFindsAll(): Promise<void> {
    // Where the cluster is behind doors that the program opens, it has to run before anything is compared.
    const opens = this.rehearsal.stack.cloudflare.apiDoors > 0 ? ["--run-program"] : [];
    const run = await this.preview({ args: ["--refresh", ...opens], signal: this.signal });
    const found = foundByRefresh(run);
    this.then(
      "after a refresh nothing is to do: every object is as the state has it",
      run.ok && found.length === 0,
      [...run.errors, ...found.map(({ op, urn }) => `${op} ${urn.split("::").pop()}`)].join("; "),
    );
  }

  // ---- the watch -------------------------------------------------------------------------------------------------------------------

  async startWatch(): Promise<void> {
    const api = await this.access();
    const servers = await this.servers();
    const hosts = Object.fromEntries(
      Object.values(servers).flatMap(({ name, public_net: { ipv4 } }) => (ipv4 ? [[name, ipv4.ip]] : [])),
    );
    const watch = await WatchProcess.begin({ api, etcd: await this.etcdAccess(), service: this.#watched, hosts });
    this.#watch = watch;
    this.#power.onPower(({ serverName, on }) => watch.power(serverName, on));
    this.note("the watch begins: members, nodes, a client of the API, a client of a Service");
  }

  /** The first Service that a roll must not interrupt: it has several pods. */
  get #watched(): ServiceName {
    const { namespace, workloads } = this.rehearsal.platform;
    const found = workloads.find(({ port, replicas }) => port !== undefined && replicas > 1);
    if (!found) throw new Error("no Service has more than one pod: a watch would see it interrupted");
    return { namespace, name: found.name };
  }

  /** Ends the watch and prints what it saw. */
  async endWatch(): Promise<WatchReport | undefined> {
    if (!this.#watch) return undefined;
    const watch = this.#watch;
    this.#watch = undefined;
    this.#power.onPower(() => undefined);
    const report = await watch.end();
    this.watchReport = report;
    for (const line of describeWatch(report)) this.note(line);
    return report;
  }

  /** What holds through every roll. */
  async thenNobodyNoticed(): Promise<void> {
    const report = await this.endWatch();
    if (!report) throw new Error("there was no watch");
    const { voters, readyNodes, api, service, changes } = report;
    const course = changes
      .map(({ seconds, voters: v, readyNodes: n }) => `${seconds.toFixed(1)} s: ${v} voters, ${n} Ready`)
      .join("; ");
    this.then("never fewer than two healthy voters", voters.lowest >= 2, course);
    this.then("never fewer than two Ready nodes", readyNodes.lowest >= 2, course);
    const reasons = (tally: { reasons: Record<string, number> }): string =>
      Object.entries(tally.reasons)
        .map(([reason, times]) => `${times}x ${reason}`)
        .join("; ");
    this.then(
      "every request to the Kubernetes API answered within 2 s, retries included, and no acknowledged write lost",
      api.requests > 0 && api.failed === 0 && api.lost === 0,
      `${api.failed} of ${api.requests} failed, ${api.lost} writes lost: ${reasons(api)}`,
    );
    this.then(
      "every request to the Service answered within 2 s, retries included",
      service.requests > 0 && service.failed === 0,
      `${service.failed} of ${service.requests} failed: ${reasons(service)}`,
    );
  }

  async close(): Promise<void> {
    await this.endWatch();
  }
}

/** A line of Pulumi's that shows the progress of one resource: `~  hcloud:index:Server honeydue-a refreshing (0s) …`. */
const RESOURCE_LINE = /^\s*(?:[-+~><]+ +)?[\w.-]+:[\w./-]+:\w+ \S+ ?(?<rest>.*)$/;

/** What a line of a command that runs Pulumi says beyond Pulumi's own progress: its own words, and what the nodes do. */
function newsIn(line: string): string {
  if (/^\s*@ /.test(line)) return "";
  const resource = RESOURCE_LINE.exec(line);
  if (resource) return /node \S+: .*/.exec(resource.groups?.["rest"] ?? "")?.[0] ?? "";
  return line.trim() === "" ? "" : line.trimEnd();
}

export type KubernetesNode = KubernetesObject & {
  spec?: { unschedulable?: boolean; taints?: { key: string; effect: string }[] };
  status?: {
    nodeInfo?: { kubeletVersion: string };
    conditions?: { type: string; status: string; reason: string }[];
  };
};
