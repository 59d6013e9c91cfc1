import { doors } from "../../../model/doors";
import type { Platform } from "../../../model/platform";
import { report, resolve } from "../../../model/resolve";
import { Cloud, Cloudflare } from "../../../operations/cloud";
import type { Check } from "../../../operations/doctor";
import { edgeChecks, type EdgeSeen } from "../../../operations/edge-checks";
import { observeEdge } from "../../../operations/edge-observations";
import { type EdgeState, readEdgeState } from "../../../operations/edge-state";
import { connectTunnel, type Permission } from "../../../rehearsal/emulators/cloudflare";
import { type HetznerEmulator, startHetznerEmulator } from "../../../rehearsal/emulators/hetzner";
import { buildEdge } from "../../support/edge";
import { EmulatedCloudflare, type Made } from "../../support/emulated-cloudflare";

type Definition = Parameters<typeof resolve>[0];
type Settings = Parameters<typeof resolve>[1];

const HETZNER_TOKEN = "h".repeat(64);
const CLOUDFLARE_TOKEN = "trivet-doctor-token-0123456789-0123456789";

/** A platform's edge as the program makes it, at emulated clouds, and what `trivet doctor` sees of it. */
export class EmulatedEdge {
  readonly platform: Platform;
  readonly cloudflare: EmulatedCloudflare;
  readonly hetzner: HetznerEmulator;
  readonly made: readonly Made[];

  private constructor(
    platform: Platform,
    cloudflare: EmulatedCloudflare,
    hetzner: HetznerEmulator,
    made: readonly Made[],
  ) {
    this.platform = platform;
    this.cloudflare = cloudflare;
    this.hetzner = hetzner;
    this.made = made;
  }

  static async up(definition: Definition, settings: Settings): Promise<EmulatedEdge> {
    const cloudflare = await EmulatedCloudflare.start({ zone: definition.domain });
    const values = {
      ...settings.values,
      cloudflareZoneId: cloudflare.zoneId,
      cloudflareAccountId: cloudflare.accountId,
    };
    const { platform, problems } = resolve(definition, { ...settings, values });
    if (problems) throw new Error(report(problems, "the fixture"));
    const made = await cloudflare.up(() => buildEdge(platform));
    const hetzner = await startHetznerEmulator({ token: HETZNER_TOKEN, actionDurationMilliseconds: 1 });
    const one = new EmulatedEdge(platform, cloudflare, hetzner, made);
    await one.#makeFirewall();
    const { tunnels } = cloudflare.emulator.state.accounts[0]!;
    for (const tunnel of tunnels) for (const _ of ["one", "other"]) connectTunnel(tunnel, new Date());
    one.restrict("all");
    return one;
  }

  get zone() {
    return this.cloudflare.emulator.state.zones[0]!;
  }

  get account() {
    return this.cloudflare.emulator.state.accounts[0]!;
  }

  /** As `pulumi stack export` has it, without what no command reads. */
  get exported(): object {
    const resources = this.made.map(({ type, name, id, inputs, state }) => ({
      urn: `urn:pulumi:honeydue::trivet::${type}::${name}`,
      type,
      id,
      inputs,
      outputs: state,
    }));
    return { version: 3, deployment: { resources: JSON.parse(JSON.stringify(resources)) as unknown } };
  }

  get state(): EdgeState {
    return readEdgeState(this.exported);
  }

  /** The full configuration that leads commands to these clouds. */
  get configuration(): Readonly<Record<string, string>> {
    return {
      "cloudflare:apiToken": CLOUDFLARE_TOKEN,
      "cloudflare:baseUrl": this.cloudflare.emulator.baseUrl,
      "hcloud:token": HETZNER_TOKEN,
      "hcloud:endpoint": `${this.hetzner.url}/v1`,
    };
  }

  /** What the token may do from now on. */
  restrict(permissions: readonly Permission[] | "all", status: "active" | "disabled" = "active"): void {
    const { tokens } = this.cloudflare.emulator.state;
    const found = tokens.find(({ value }) => value === CLOUDFLARE_TOKEN);
    if (found !== undefined) Object.assign(found, { permissions, status });
    else tokens.push({ id: "d".repeat(32), value: CLOUDFLARE_TOKEN, status, permissions, zones: [this.zone.id] });
  }

  firewallRules(change: (rules: FirewallRule[]) => readonly FirewallRule[]): Promise<void> {
    return this.#request("POST", `/firewalls/${this.#firewallId}/actions/set_rules`, {
      rules: change([...serverRules(this.platform)]),
    });
  }

  async checks(parts: Partial<EdgeSeen> = {}): Promise<readonly Check[]> {
    const { platform, configuration } = this;
    const state = parts.state ?? this.state;
    const observations = await observeEdge(
      platform,
      state,
      new Cloudflare({ baseUrl: configuration["cloudflare:baseUrl"]!, token: configuration["cloudflare:apiToken"]! }),
      new Cloud({ baseUrl: configuration["hcloud:endpoint"]!, token: configuration["hcloud:token"]! }),
    );
    return edgeChecks({ now: new Date(), platform, state, observations, publicCertificate: undefined, ...parts });
  }

  async close(): Promise<void> {
    await Promise.all([this.cloudflare.close(), this.hetzner.close()]);
  }

  get #firewallId(): number {
    return [...this.hetzner.project.firewalls.keys()][0]!;
  }

  #makeFirewall(): Promise<void> {
    return this.#request("POST", "/firewalls", { name: this.platform.name, rules: serverRules(this.platform) });
  }

  async #request(method: string, path: string, body: object): Promise<void> {
    const response = await fetch(`${this.hetzner.url}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${HETZNER_TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(await response.text());
  }
}

export interface FirewallRule {
  readonly direction: "in";
  readonly protocol: "tcp";
  readonly port: string;
  readonly source_ips: readonly string[];
}

const serverRules = (platform: Platform): readonly FirewallRule[] =>
  doors(platform)
    .filter(({ role }) => role === "server")
    .map(({ protocol, port, cidrs }) => ({ direction: "in", protocol, port: String(port), source_ips: cidrs }));
