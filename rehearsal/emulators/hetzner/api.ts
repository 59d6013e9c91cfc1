import type { FastifyInstance } from "fastify";
import { ApiError, invalidField, notFound } from "./errors";
import { type Labels, labelSelector } from "./label-selector";
import { checkBody } from "./validation";

export type Query = Record<string, string | string[] | undefined>;

export interface Call<Body = undefined> {
  id: number;
  actionId: number;
  query: Query;
  body: Body;
}

type Handler<Body> = (call: Call<Body>) => unknown;

/** Adds routes as the API's documentation writes them. What a handler returns is the answer; undefined is a 204. */
export class Api {
  readonly #app: FastifyInstance;

  constructor(app: FastifyInstance) {
    this.#app = app;
  }

  get(path: string, handler: Handler<undefined>): void {
    this.#add("GET", path, handler);
  }

  post<Body>(path: string, handler: Handler<Body>): void {
    this.#add("POST", path, handler);
  }

  put<Body>(path: string, handler: Handler<Body>): void {
    this.#add("PUT", path, handler);
  }

  delete(path: string, handler: Handler<undefined>): void {
    this.#add("DELETE", path, handler);
  }

  #add<Body>(method: "GET" | "POST" | "PUT" | "DELETE", path: string, handler: Handler<Body>): void {
    this.#app.route<{ Params: { id?: string; action_id?: string }; Querystring: Query }>({
      method,
      url: path.replace(/\{(\w+)\}/g, ":$1"),
      handler: async (request, reply) => {
        checkBody(`${method} ${path}`, request.body);
        const { id, action_id: actionId } = request.params;
        const answer = await handler({
          id: asId(id),
          actionId: asId(actionId),
          query: request.query,
          body: (request.body ?? {}) as Body,
        });
        if (answer === undefined) return reply.status(204).send();
        return reply.status(method === "POST" ? 201 : 200).send(answer);
      },
    });
  }
}

function asId(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^\d{1,16}$/.test(text)) throw invalidField("id", "must be a number");
  return Number(text);
}

const DEFAULT_PER_PAGE = 25;
const MAX_PER_PAGE = 50;

interface Listed {
  id: number;
  name?: string;
  labels?: Labels;
  created?: string;
}

export interface ListOptions<T> {
  /** Fields that `sort` takes, each with the value to sort by. */
  sort?: Readonly<Record<string, (item: T) => string | number>>;
  /** Exact filters, beside `name` and `label_selector`: query key and the item's value. */
  filters?: Readonly<Record<string, (item: T) => string>>;
}

/** One page of a list, filtered and sorted as the query asks, with the API's `meta`. */
export function listed<T extends Listed, View>(
  key: string,
  items: Iterable<T>,
  query: Query,
  view: (item: T) => View,
  { sort = {}, filters = {} }: ListOptions<T> = {},
): Record<string, unknown> {
  let found = [...items];
  const name = values(query["name"]);
  if (name.length > 0) found = found.filter((item) => name.includes(item.name ?? ""));
  for (const selector of values(query["label_selector"])) {
    if (selector === "") continue;
    const selects = labelSelector(selector);
    found = found.filter((item) => selects(item.labels ?? {}));
  }
  for (const [field, valueOf] of Object.entries(filters)) {
    const wanted = values(query[field]).filter((value) => value !== "");
    if (wanted.length > 0) found = found.filter((item) => wanted.includes(valueOf(item)));
  }
  found = sorted(found, values(query["sort"]), { ...standardSort<T>(), ...sort });

  const page = pageNumber(query, "page", 1);
  const perPage = Math.min(MAX_PER_PAGE, pageNumber(query, "per_page", DEFAULT_PER_PAGE));
  const lastPage = Math.max(1, Math.ceil(found.length / perPage));
  return {
    [key]: found.slice((page - 1) * perPage, page * perPage).map(view),
    meta: {
      pagination: {
        page,
        per_page: perPage,
        previous_page: page > 1 ? page - 1 : null,
        next_page: page < lastPage ? page + 1 : null,
        last_page: lastPage,
        total_entries: found.length,
      },
    },
  };
}

const standardSort = <T extends Listed>(): Record<string, (item: T) => string | number> => ({
  id: ({ id }) => id,
  name: ({ name = "" }) => name,
  created: ({ created = "" }) => created,
});

function sorted<T extends Listed>(items: T[], orders: string[], by: Record<string, (item: T) => string | number>): T[] {
  const comparisons = (orders.length > 0 ? orders : ["id"]).map((order) => {
    const [field = "", direction = "asc"] = order.split(":");
    const valueOf = by[field];
    if (valueOf === undefined || !["asc", "desc"].includes(direction)) {
      throw invalidField(
        "sort",
        `'${order}' is not allowed; allowed are ${Object.keys(by).join(", ")}, with :asc or :desc`,
      );
    }
    const sign = direction === "asc" ? 1 : -1;
    return (a: T, b: T) => (valueOf(a) < valueOf(b) ? -sign : valueOf(a) > valueOf(b) ? sign : 0);
  });
  return items.sort((a, b) => comparisons.reduce((result, compare) => result || compare(a, b), 0));
}

export const values = (value: string | string[] | undefined): string[] => (value === undefined ? [] : [value].flat());

function pageNumber(query: Query, field: string, otherwise: number): number {
  const [text] = values(query[field]);
  if (text === undefined) return otherwise;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw invalidField(field, "must be a number of at least 1");
  return Number(text);
}

/** The item, or the API's `not_found`. */
export function found<T>(items: ReadonlyMap<number, T>, id: number, kind: string): T {
  const item = items.get(id);
  if (item === undefined) throw notFound(kind, id);
  return item;
}

/** Names are unique within their kind. */
export function checkUniqueName(
  items: Iterable<{ id: number; name: string }>,
  name: string,
  { except, message = "name is already used" }: { except?: number; message?: string } = {},
): void {
  if (name === "") throw invalidField("name", "must not be empty");
  for (const item of items) {
    if (item.name === name && item.id !== except) {
      throw new ApiError("uniqueness_error", message, { fields: [{ name: "name" }] });
    }
  }
}
