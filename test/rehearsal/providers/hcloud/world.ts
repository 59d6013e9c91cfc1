import { type HcloudProviderOptions, createHcloudProvider } from "../../../../rehearsal/providers/hcloud";
import type { PropertyMap, Provider, StateResult } from "../../../../rehearsal/providers/protocol/provider";
import {
  type HetznerEmulator,
  type HetznerEmulatorOptions,
  startHetznerEmulator,
} from "../../../../rehearsal/emulators/hetzner";

export const TOKEN = "t".repeat(64);

/** One emulated Hetzner project and a provider that is configured for it, driven as the engine drives it. */
export class World {
  readonly emulator: HetznerEmulator;
  readonly provider: Provider;

  constructor(emulator: HetznerEmulator, provider: Provider) {
    this.emulator = emulator;
    this.provider = provider;
  }

  static async start(options: Partial<HetznerEmulatorOptions> = {}, more: HcloudProviderOptions = {}): Promise<World> {
    const emulator = await startHetznerEmulator({ token: TOKEN, actionDurationMilliseconds: 5, ...options });
    const provider = createHcloudProvider({ environment: {}, retryBaseMilliseconds: 2, ...more });
    await provider.configure({
      args: { token: TOKEN, endpoint: `${emulator.url}/v1`, pollInterval: "5ms", pollFunction: "constant" },
      log: () => {},
    });
    return new World(emulator, provider);
  }

  /** `hcloud:index/server:Server` for "Server". */
  static token(kind: string): string {
    return `hcloud:index/${kind[0]?.toLowerCase()}${kind.slice(1)}:${kind}`;
  }

  call(kind: string, name = "example") {
    const type = World.token(kind);
    return {
      urn: `urn:pulumi:stack::project::${type}::${name}`,
      type,
      name,
      signal: new AbortController().signal,
      log: () => {},
    };
  }

  async check(kind: string, news: PropertyMap, olds: PropertyMap = {}, name = "example"): Promise<PropertyMap> {
    const { inputs, failures = [] } = await this.provider.check({
      ...this.call(kind, name),
      olds,
      news,
      randomSeed: new Uint8Array(32).fill(7),
    });
    if (failures.length > 0) throw new Error(failures.map(({ reason }) => reason).join("; "));
    return inputs;
  }

  async create(kind: string, news: PropertyMap, name = "example"): Promise<StateResult & { inputs: PropertyMap }> {
    const inputs = await this.check(kind, news, {}, name);
    const made = await this.provider.create({ ...this.call(kind, name), inputs, timeoutSeconds: 0, preview: false });
    return { ...made, inputs };
  }

  async diff(kind: string, made: { id: string; state: PropertyMap; inputs: PropertyMap }, news: PropertyMap) {
    const inputs = await this.check(kind, news, made.inputs);
    return this.provider.diff({
      ...this.call(kind),
      id: made.id,
      olds: made.state,
      news: inputs,
      oldInputs: made.inputs,
      ignoreChanges: [],
    });
  }

  async update(
    kind: string,
    made: { id: string; state: PropertyMap; inputs: PropertyMap },
    news: PropertyMap,
    preview = false,
  ) {
    const inputs = await this.check(kind, news, made.inputs);
    const { state } = await this.provider.update({
      ...this.call(kind),
      id: made.id,
      olds: made.state,
      news: inputs,
      oldInputs: made.inputs,
      timeoutSeconds: 0,
      preview,
      ignoreChanges: [],
    });
    return { id: made.id, state, inputs };
  }

  read(kind: string, made: { id: string; state?: PropertyMap; inputs?: PropertyMap }) {
    return this.provider.read({ ...this.call(kind), id: made.id, state: made.state ?? {}, inputs: made.inputs ?? {} });
  }

  delete(kind: string, made: { id: string; state: PropertyMap; inputs: PropertyMap }): Promise<void> {
    return this.provider.delete({
      ...this.call(kind),
      id: made.id,
      state: made.state,
      oldInputs: made.inputs,
      timeoutSeconds: 0,
    });
  }

  /** Method and path of every call since the last look, polls of actions left out. */
  calls(): string[] {
    const entries = this.emulator.journal.entries();
    this.emulator.journal.clear();
    return entries
      .filter(({ path }) => path !== "/v1/actions")
      .map(({ method, path }) => `${method} ${path.replace("/v1", "").replace(/\d{7}/g, "{id}")}`);
  }

  /** Until no action is under way. */
  async settled(): Promise<void> {
    while ((await this.#state())["running_actions"]!.length > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }

  /** How many of each kind exist. */
  async inventory(): Promise<Record<string, number>> {
    return Object.fromEntries(
      Object.entries(await this.#state()).flatMap(([kind, items]) =>
        kind === "running_actions" || items.length === 0 ? [] : [[kind, items.length]],
      ),
    );
  }

  async #state(): Promise<Record<string, unknown[]>> {
    return (await (await fetch(`${this.emulator.url}/_emulator/state`)).json()) as Record<string, unknown[]>;
  }

  close(): Promise<void> {
    return this.emulator.close();
  }
}
