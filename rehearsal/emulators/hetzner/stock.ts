import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { locations, serverTypes } from "./catalogue";

/**
 * What can be had where. All that is on offer, unless told otherwise: a server type may be sold out in a location, and a location
 * may have no further host for a spread placement group.
 */
export class Stock {
  readonly #soldOut = new Set<string>();
  readonly #crowded = new Set<string>();

  setAvailable(serverType: string, location: string, available: boolean): void {
    toggle(this.#soldOut, `${serverType} ${location}`, !available);
  }

  isAvailable(serverType: string, location: string): boolean {
    return !this.#soldOut.has(`${serverType} ${location}`);
  }

  /** False: a server of a placement group finds no host of its own there, while others do. */
  setSpreadable(location: string, spreadable: boolean): void {
    toggle(this.#crowded, location, !spreadable);
  }

  isSpreadable(location: string): boolean {
    return !this.#crowded.has(location);
  }

  /** What cannot be had, sorted. */
  missing(): { soldOut: { serverType: string; location: string }[]; crowded: string[] } {
    const soldOut = [...this.#soldOut].sort().map((pair) => {
      const [serverType = "", location = ""] = pair.split(" ");
      return { serverType, location };
    });
    return { soldOut, crowded: [...this.#crowded].sort() };
  }
}

const toggle = (set: Set<string>, key: string, wanted: boolean): void => {
  if (wanted) set.add(key);
  else set.delete(key);
};

const location = z.enum(locations.map(({ name }) => name));
const wishSchema = z.union(
  [
    z.strictObject({ serverType: z.enum(serverTypes.map(({ name }) => name)), location, available: z.boolean() }),
    z.strictObject({ location, spreadable: z.boolean() }),
  ],
  "either serverType, location and available, or location and spreadable, of those in the catalogue",
);

/**
 *   GET  /_emulator/stock   what cannot be had
 *   PUT  /_emulator/stock   {"serverType": "cx33", "location": "nbg1", "available": false} or {"location": "nbg1", "spreadable": false}
 */
export function stockRoutes(app: FastifyInstance, stock: Stock): void {
  app.get("/stock", async () => stock.missing());
  app.put("/stock", async (request, reply) => {
    const asked = wishSchema.safeParse(request.body);
    if (!asked.success) return reply.status(400).send({ error: z.prettifyError(asked.error) });
    const wish = asked.data;
    if ("serverType" in wish) stock.setAvailable(wish.serverType, wish.location, wish.available);
    else stock.setSpreadable(wish.location, wish.spreadable);
    return stock.missing();
  });
}
