import * as pulumi from "@pulumi/pulumi";
import { type CloudApi, cloudApi } from "../../components/cloud-api";
import type { Platform } from "../../model/platform";
import { type CloudflareEmulator, startCloudflareEmulator } from "../../rehearsal/emulators/cloudflare";
import { createCloudflareProvider } from "../../rehearsal/providers/cloudflare";
import {
  type PropertyMap,
  type PropertyValue,
  type Provider,
  Secret,
} from "../../rehearsal/providers/protocol/provider";
import { createRandomProvider } from "../../rehearsal/providers/random";
import { createTlsProvider } from "../../rehearsal/providers/tls";
import { isSecret, watchRequests } from "./mocks";

/** One resource as its provider made it. */
export interface Made {
  readonly type: string;
  readonly name: string;
  readonly id: string;
  readonly inputs: PropertyMap;
  readonly state: PropertyMap;
  readonly ignoreChanges: readonly string[];
}

export interface Run {
  readonly made: readonly Made[];
  /** `update honeydue-api-a`, sorted; nothing for what stays. */
  readonly steps: readonly string[];
}

export interface EmulatedCloudflareOptions {
  readonly zone: string;
  readonly plan?: "free" | "pro" | "business" | "enterprise";
  readonly publicRanges?: readonly string[];
}

const API_TOKEN = "trivet-test-token-0123456789-0123456789-0";

/**
 * The emulated Cloudflare behind the provider stand-ins, in this process and without an engine: what components register is checked,
 * made, and asked for again. Quick enough for what a drill with the engine would show in a minute; what the engine itself does (order,
 * hooks but those that are given for creates, protection, replacement) is not in it.
 */
export class EmulatedCloudflare {
  readonly emulator: CloudflareEmulator;
  readonly #providers: Readonly<Record<string, Provider>>;

  private constructor(emulator: CloudflareEmulator, providers: Readonly<Record<string, Provider>>) {
    this.emulator = emulator;
    this.#providers = providers;
  }

  static async start({
    zone,
    plan = "free",
    publicRanges = [],
  }: EmulatedCloudflareOptions): Promise<EmulatedCloudflare> {
    const emulator = await startCloudflareEmulator({
      zones: [{ name: zone, plan }],
      tokens: [{ value: API_TOKEN }],
      publicRanges,
      edgeDeploymentSeconds: 0,
    });
    const cloudflare = createCloudflareProvider({ environment: {}, client: { firstDelayMilliseconds: 1, retries: 1 } });
    await cloudflare.configure({ args: { apiToken: new Secret(API_TOKEN), baseUrl: emulator.baseUrl }, log: () => {} });
    return new EmulatedCloudflare(emulator, { cloudflare, tls: createTlsProvider(), random: createRandomProvider() });
  }

  get zoneId(): string {
    return this.emulator.state.zones[0]!.id;
  }

  /** As the program itself asks Cloudflare. */
  get api(): CloudApi {
    return cloudApi({ baseUrl: this.emulator.baseUrl, token: API_TOKEN });
  }

  get accountId(): string {
    return this.emulator.state.accounts[0]!.id;
  }

  /** The platform with this zone and account in the place of its own. */
  hosting(platform: Platform): Platform {
    const { edge } = platform;
    const zone = { ...edge.zone, id: this.zoneId, accountId: this.accountId };
    return { ...platform, edge: { ...edge, zone } };
  }

  /** Runs a program; each resource is made as soon as what it needs is known. */
  async up(build: () => pulumi.Resource): Promise<readonly Made[]> {
    return (await this.upAgain(build, [])).made;
  }

  /**
   * After an earlier run: each resource is kept, updated or replaced as its provider says; what is not registered any more is deleted at the
   * end.
   * @param beforeCreate a hook that the program binds, called as the engine calls it
   */
  async upAgain(
    build: () => pulumi.Resource,
    before: readonly Made[],
    beforeCreate: (args: pulumi.ResourceHookArgs) => void | Promise<void> = () => {},
  ): Promise<Run> {
    const made: Omit<Made, "ignoreChanges">[] = [];
    const steps: string[] = [];
    await pulumi.runtime.setMocks(
      {
        call: ({ token }) => {
          throw new Error(`the program called ${token}`);
        },
        newResource: async ({ type, name, inputs }) => {
          const given = fromWire(inputs) as PropertyMap;
          if (this.#providers[type.split(":")[0]!] === undefined)
            return { id: "", state: toPlain(given) as Record<string, unknown> };
          const old = before.find((one) => one.type === type && one.name === name);
          const { step, ...now } = await this.#brought({ type, name }, given, old, beforeCreate);
          if (step !== "same") steps.push(`${step} ${name}`);
          made.push({ type, name, ...now });
          return { id: now.id, state: toPlain(now.state) as Record<string, unknown> };
        },
      },
      "trivet",
      "honeydue",
      false,
    );
    const options = watchRequests();
    await settled(build());
    await pulumi.runtime.disconnect(); // components tell their outputs last
    const gone = before.filter(({ type, name }) => !made.some((one) => one.type === type && one.name === name));
    await this.destroy(gone);
    return {
      made: made.map((one) => ({
        ...one,
        ignoreChanges: options.get(`${one.type}::${one.name}`)?.ignoreChanges ?? [],
      })),
      steps: [...steps, ...gone.map(({ name }) => `delete ${name}`)].sort(),
    };
  }

  async #brought(
    { type, name }: Pick<Made, "type" | "name">,
    given: PropertyMap,
    old: Made | undefined,
    beforeCreate: (args: pulumi.ResourceHookArgs) => void | Promise<void>,
  ): Promise<Pick<Made, "id" | "inputs" | "state"> & { step: "same" | "create" | "update" | "replace" }> {
    const provider = this.#providers[type.split(":")[0]!]!;
    const call = { ...callOf(type, name), timeoutSeconds: 0, preview: false };
    const inputs = await this.#checked({ type, name }, given, old?.inputs ?? {});
    const create = async () => {
      const newInputs = toPlain(inputs) as Record<string, unknown>;
      await beforeCreate({ urn: call.urn, id: "", name, type, newInputs });
      return provider.create({ ...call, inputs });
    };
    if (old === undefined) return { step: "create", inputs, ...(await create()) };
    const { id, state: olds, inputs: oldInputs } = old;
    const changed = { ...call, id, olds, news: inputs, oldInputs, ignoreChanges: [] };
    const { changes, replaces = [] } = await provider.diff(changed);
    if (changes === "none") return { step: "same", id, inputs, state: olds };
    if (replaces.length > 0) {
      await this.destroy([old]);
      return { step: "replace", inputs, ...(await create()) };
    }
    return { step: "update", id, inputs, state: (await provider.update(changed)).state };
  }

  /** What a second `up` with the same inputs would change, without and with a refresh before it. */
  async unrest(made: readonly Made[]): Promise<readonly string[]> {
    const found: string[] = [];
    for (const { type, name, id, inputs, state, ignoreChanges } of made) {
      const provider = this.#providers[type.split(":")[0]!]!;
      const call = callOf(type, name);
      const news = await this.#checked({ type, name }, inputs, inputs);
      // As the engine does it: what is ignored is as it was.
      const kept = (oldInputs: PropertyMap): PropertyMap => {
        const all = { ...news };
        for (const key of ignoreChanges) {
          const old = oldInputs[key];
          if (old === undefined) delete all[key];
          else all[key] = old;
        }
        return all;
      };
      const changed = async (olds: PropertyMap, oldInputs: PropertyMap): Promise<string | undefined> => {
        const { changes, diffs } = await provider.diff({
          ...call,
          id,
          olds,
          news: kept(oldInputs),
          oldInputs,
          ignoreChanges,
        });
        return changes === "none" ? undefined : String(diffs);
      };
      const now = await changed(state, inputs);
      if (now !== undefined) found.push(`${name}: ${now}`);
      const read = await provider.read({ ...call, id, state, inputs });
      const later = read === undefined ? "gone" : await changed(read.state, read.inputs);
      if (later !== undefined) found.push(`${name}, after a refresh: ${later}`);
    }
    return found;
  }

  /** Last made, first deleted. */
  async destroy(made: readonly Made[]): Promise<void> {
    for (const { type, name, id, inputs, state } of [...made].reverse())
      await this.#providers[type.split(":")[0]!]!.delete({
        ...callOf(type, name),
        id,
        state,
        oldInputs: inputs,
        timeoutSeconds: 0,
      });
  }

  async inventory(): Promise<Record<string, unknown[]>> {
    const response = await fetch(`${this.emulator.url}/_emulator/state`);
    return (await response.json()) as Record<string, unknown[]>;
  }

  close(): Promise<void> {
    return this.emulator.close();
  }

  async #checked(
    { type, name }: Pick<Made, "type" | "name">,
    news: PropertyMap,
    olds: PropertyMap,
  ): Promise<PropertyMap> {
    const provider = this.#providers[type.split(":")[0]!]!;
    const { inputs, failures = [] } = await provider.check({
      ...callOf(type, name),
      olds,
      news,
      randomSeed: new Uint8Array(32),
    });
    if (failures.length > 0) throw new Error(`${type} ${name}: ${failures.map(({ reason }) => reason).join("; ")}`);
    return inputs;
  }
}

const callOf = (type: string, name: string) => ({
  urn: `urn:pulumi:honeydue::trivet::${type}::${name}`,
  type,
  name,
  signal: new AbortController().signal,
  log: () => {},
});

async function settled(resource: pulumi.Resource): Promise<void> {
  await (resource.urn as unknown as { promise(): Promise<string> }).promise();
  const children = (resource as unknown as { __childResources?: Set<pulumi.Resource> }).__childResources ?? [];
  for (const child of children) await settled(child);
}

function fromWire(value: unknown): PropertyValue {
  if (isSecret(value)) return new Secret(fromWire((value as { value: unknown }).value));
  if (Array.isArray(value)) return value.map(fromWire);
  if (typeof value !== "object" || value === null) return value as PropertyValue;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromWire(item)]));
}

function toPlain(value: PropertyValue): unknown {
  if (value instanceof Secret) return toPlain(value.value);
  if (Array.isArray(value)) return value.map((item: PropertyValue) => toPlain(item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toPlain(item)]));
}
