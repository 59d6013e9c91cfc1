import { z } from "zod";

/** Which calls a fault hits. */
const place = {
  /** Only calls of this route; absent: every call. */
  route: z
    .strictObject({
      /** Upper case; absent: every method. */
      method: z
        .string()
        .regex(/^[A-Z]+$/, "a method is written in upper case, for example POST")
        .optional(),
      /** The path without its query. `*` stands for one segment, `**` for any number of them: `/v1/servers/*`. */
      pathPattern: z.string().startsWith("/").optional(),
    })
    .optional(),
  /** The n-th matching call after the fault was added, counted from 1 (the default), or "every" one. */
  nth: z.union([z.int().min(1), z.literal("every")]).optional(),
  /** How many matching calls in a row it hits, from the n-th on. Default: 1; with "every": without end. */
  times: z.int().min(1).optional(),
};

export const faultSchema = z.discriminatedUnion("effect", [
  /** The handler does not run; `status` and `body` are answered. Default body: the cloud's own error for that status. */
  z.strictObject({
    ...place,
    effect: z.literal("fail"),
    status: z.int().min(400).max(599),
    body: z.unknown().optional(),
  }),
  /** The handler does not run; the cloud's own 429 answer, with its headers. */
  z.strictObject({ ...place, effect: z.literal("rate-limit") }),
  /** The handler runs this much later. */
  z.strictObject({ ...place, effect: z.literal("delay"), milliseconds: z.int().min(1).max(600_000) }),
  /** The connection is closed and the handler does not run. */
  z.strictObject({ ...place, effect: z.literal("drop-before") }),
  /** The handler runs and its effect stays, but the connection is closed without an answer. */
  z.strictObject({ ...place, effect: z.literal("drop-after") }),
  /** As `drop-after`, and then no call of any route gets through, as by `drop-before`, until this fault is removed. */
  z.strictObject({ ...place, effect: z.literal("cut") }),
]);

export type Fault = z.infer<typeof faultSchema>;

export type PlacedFault = Fault & {
  id: number;
  /** Matching calls so far. */
  seen: number;
  /** Calls hit so far. */
  hits: number;
};

/** What is to go wrong, and when. */
export class Faults {
  #placed: PlacedFault[] = [];
  #nextId = 1;

  /** Throws a ZodError that names the wrong field. */
  add(fault: Fault): PlacedFault {
    const placed = { ...faultSchema.parse(fault), id: this.#nextId++, seen: 0, hits: 0 };
    this.#placed.push(placed);
    return { ...placed };
  }

  entries(): PlacedFault[] {
    return structuredClone(this.#placed);
  }

  /** False where there is no such fault. */
  remove(id: number): boolean {
    const before = this.#placed.length;
    this.#placed = this.#placed.filter((fault) => fault.id !== id);
    return this.#placed.length < before;
  }

  clear(): void {
    this.#placed = [];
  }

  /** Counts a call against every fault it matches, and gives the first one that hits it. The server calls this. */
  next(call: { method: string; path: string }): PlacedFault | undefined {
    const cut = this.#placed.find(({ effect, hits }) => effect === "cut" && hits > 0);
    if (cut !== undefined) return { ...cut, effect: "drop-before" };
    let hit: PlacedFault | undefined;
    for (const fault of this.#placed) {
      if (!matches(fault, call)) continue;
      fault.seen++;
      if (hit === undefined && isDue(fault)) hit = fault;
    }
    if (hit !== undefined) hit.hits++;
    return hit;
  }
}

function isDue({ nth = 1, times, seen }: PlacedFault): boolean {
  if (nth === "every") return times === undefined || seen <= times;
  return seen >= nth && seen < nth + (times ?? 1);
}

function matches({ route }: Fault, call: { method: string; path: string }): boolean {
  if (route?.method !== undefined && route.method !== call.method) return false;
  return route?.pathPattern === undefined || pathExpression(route.pathPattern).test(call.path);
}

function pathExpression(pattern: string): RegExp {
  const source = pattern
    .split(/(\*\*|\*)/)
    .map((part) => (part === "**" ? ".*" : part === "*" ? "[^/]+" : part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")))
    .join("");
  return new RegExp(`^${source}$`);
}
