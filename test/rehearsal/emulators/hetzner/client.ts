import {
  type HetznerEmulator,
  type HetznerEmulatorOptions,
  startHetznerEmulator,
} from "../../../../rehearsal/emulators/hetzner";

export const TOKEN = "t".repeat(64);
export const READ_ONLY_TOKEN = "r".repeat(64);

// Answers are JSON of many shapes; `shape.ts` checks them, tests pick from them.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Json = any;

export interface Answer {
  status: number;
  headers: Headers;
  body: Json;
}

/** A plain client of one emulator, with the few things that every test makes. */
export class Client {
  readonly emulator: HetznerEmulator;
  readonly token: string;

  constructor(emulator: HetznerEmulator, token = TOKEN) {
    this.emulator = emulator;
    this.token = token;
  }

  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(`${this.emulator.url}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
  }

  get = async (path: string): Promise<Json> => (await this.expectOk("GET", path)).body;
  post = async (path: string, body?: unknown): Promise<Json> => (await this.expectOk("POST", path, body)).body;
  put = async (path: string, body?: unknown): Promise<Json> => (await this.expectOk("PUT", path, body)).body;
  delete = async (path: string): Promise<Json> => (await this.expectOk("DELETE", path)).body;

  /** The code of the refusal, or the status where there was none. */
  async refusal(method: string, path: string, body?: unknown): Promise<string | number> {
    const answer = await this.call(method, path, body);
    return answer.body?.error?.code ?? answer.status;
  }

  /** Waits for every action in an answer, as clients do; returns the answer. */
  async done(answer: Json): Promise<Json> {
    const actions = [answer?.action, ...(answer?.actions ?? []), ...(answer?.next_actions ?? [])].filter(Boolean);
    const query = actions.map(({ id }: Json) => `id=${id}`).join("&");
    for (let left = actions.length; left > 0;) {
      const { actions: now } = await this.get(`/actions?${query}&sort=status&sort=id`);
      const failed = now.find(({ status }: Json) => status === "error");
      if (failed) throw new Error(`${failed.command}: ${failed.error.message}`);
      left = now.filter(({ status }: Json) => status === "running").length;
      if (left > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return answer;
  }

  async network(name = "net", ipRange = "10.0.0.0/16", subnet: string | null = "10.0.1.0/24"): Promise<number> {
    const { network } = await this.post("/networks", { name, ip_range: ipRange });
    if (subnet !== null) {
      await this.done(
        await this.post(`/networks/${network.id}/actions/add_subnet`, {
          type: "cloud",
          ip_range: subnet,
          network_zone: "eu-central",
        }),
      );
    }
    return network.id;
  }

  async server(name: string, more: object = {}): Promise<Json> {
    const answer = await this.post("/servers", {
      name,
      server_type: "cx33",
      image: "debian-12",
      location: "nbg1",
      ...more,
    });
    await this.done(answer);
    return (await this.get(`/servers/${answer.server.id}`)).server;
  }

  async act(server: { id: number }, action: string, body?: unknown): Promise<Json> {
    return this.done(await this.post(`/servers/${server.id}/actions/${action}`, body));
  }

  private async expectOk(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await this.call(method, path, body);
    if (answer.status >= 300)
      throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer;
  }
}

export async function startClient(options: Partial<HetznerEmulatorOptions> = {}): Promise<Client> {
  return new Client(
    await startHetznerEmulator({
      token: TOKEN,
      readOnlyToken: READ_ONLY_TOKEN,
      actionDurationMilliseconds: 10,
      ...options,
    }),
  );
}

/**
 * Holds the clock that the emulator reads while `work` runs, but for what `work` advances it: what is under way stays so,
 * however slow the machine is. Afterwards the clock goes on, and what is due by then ends.
 */
export async function whileTimeStandsStill(
  work: (clock: { advance(milliseconds: number): void }) => Promise<void>,
): Promise<void> {
  let now = Date.now();
  const clock = jest.spyOn(Date, "now").mockImplementation(() => now);
  try {
    await work({ advance: (milliseconds) => void (now += milliseconds) });
  } finally {
    clock.mockRestore();
  }
}
