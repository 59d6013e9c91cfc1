import type { Machine } from "../emulators/hetzner/machine-host";

/** The servers of one rehearsal. What is asked of one of them is done one thing after the other, until all are off for good. */
export class Fleet<Server extends { machine: Machine }> {
  readonly #make: (machine: Machine) => Server;
  readonly #servers = new Map<number, Server>();
  /** The end of what was asked of each server so far; it never rejects. */
  readonly #ends = new Map<number, Promise<void>>();
  #closing: Promise<void> | undefined;

  constructor(make: (machine: Machine) => Server) {
    this.#make = make;
  }

  get all(): readonly Server[] {
    return [...this.#servers.values()];
  }

  /** Set as soon as `close` was called: nothing may be switched on any more. */
  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  find(id: number): Server | undefined {
    return this.#servers.get(id);
  }

  /** The server of this machine, with what is known about the machine now; made where there is none yet. */
  of(machine: Machine): Server {
    const known = this.#servers.get(machine.id);
    if (known) {
      known.machine = machine;
      return known;
    }
    const server = this.#make(machine);
    this.#servers.set(machine.id, server);
    return server;
  }

  forget(id: number): void {
    this.#servers.delete(id);
  }

  /** After all that was asked of this server before. Rejects with what the action throws; the next one is done all the same. */
  inTurn(id: number, action: () => Promise<void> | void): Promise<void> {
    const turn = (this.#ends.get(id) ?? Promise.resolve()).then(action);
    this.#ends.set(
      id,
      turn.catch(() => undefined),
    );
    return turn;
  }

  /** Cuts the power of every server in its turn, and then cleans up; once, however often it is called. */
  close(powerOff: (server: Server) => Promise<void>, cleanUp: () => Promise<void>): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.all([...this.#servers].map(([id, server]) => this.inTurn(id, () => powerOff(server))));
      await cleanUp();
    })();
    return this.#closing;
  }
}
