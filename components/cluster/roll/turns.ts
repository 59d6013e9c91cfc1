/**
 * Who may touch the cluster: one node at a time, in the order of asking. After a turn has failed in a run, nobody else gets
 * one: a definition that broke one node would break the next.
 */
export class Turns {
  #holder: string | undefined;
  #broken: string | undefined;
  readonly #waiting: { node: string; go: () => void }[] = [];

  /** Resolves when it is this node's turn. Throws when an earlier turn of this run has failed. */
  async take(node: string): Promise<void> {
    if (this.#holder !== undefined) await new Promise<void>((go) => this.#waiting.push({ node, go }));
    else this.#holder = node;
    if (this.#broken !== undefined) {
      const broken = this.#broken;
      this.#next();
      throw new Error(
        `node ${node} stays as it is: the turn of node ${broken} failed in this run. Repair that first, then run pulumi up again`,
      );
    }
  }

  holds(node: string): boolean {
    return this.#holder === node;
  }

  /** Gives the turn on. Nothing happens when the node has none. */
  end(node: string, how: "well" | "failed"): void {
    if (this.#holder !== node) return;
    if (how === "failed") this.#broken ??= node;
    this.#next();
  }

  #next(): void {
    const next = this.#waiting.shift();
    this.#holder = next?.node;
    next?.go();
  }
}
