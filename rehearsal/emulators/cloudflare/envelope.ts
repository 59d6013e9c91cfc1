/** The answer form of the Cloudflare API v4: one envelope for results and errors alike. */

export interface Message {
  /** Left out by the ruleset engine where a call is not authorized. */
  code?: number;
  message: string;
  /** Where in the body the fault is, as a JSON pointer; only the ruleset engine gives it. */
  source?: { pointer: string };
}

export interface ResultInfo {
  page: number;
  per_page: number;
  count: number;
  total_count: number;
  total_pages: number;
}

export interface Envelope {
  result: unknown;
  success: boolean;
  errors: readonly Message[];
  messages: readonly Message[];
  result_info?: ResultInfo;
}

export const success = (
  result: unknown,
  more: { messages?: readonly Message[]; resultInfo?: ResultInfo } = {},
): Envelope => ({
  result,
  success: true,
  errors: [],
  messages: more.messages ?? [],
  ...(more.resultInfo && { result_info: more.resultInfo }),
});

export const failure = (errors: readonly Message[]): Envelope => ({
  result: null,
  success: false,
  errors,
  messages: [],
});

/** A refusal of the API; the server turns it into the envelope. */
export class ApiError extends Error {
  readonly status: number;
  readonly errors: readonly Message[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, errors: Message | readonly Message[], headers: Readonly<Record<string, string>> = {}) {
    const all = Array.isArray(errors) ? (errors as readonly Message[]) : [errors as Message];
    super(all.map(({ code, message }) => (code === undefined ? message : `${message} (${code})`)).join("; "));
    this.name = "ApiError";
    this.status = status;
    this.errors = all;
    this.headers = headers;
  }
}

export const refuse = (status: number, code: number, message: string): never => {
  throw new ApiError(status, { code, message });
};

/** What the API says of a path it does not know, and of an identifier of the wrong form in a path it knows. */
export const noRoute = (path: string): ApiError =>
  new ApiError(404, [
    { code: 7003, message: `Could not route to ${path}, perhaps your object identifier is invalid?` },
    { code: 7000, message: "No route for that URI" },
  ]);

export interface Paging {
  page: number;
  perPage: number;
}

/** Reads `page` and `per_page`; what is out of range falls back or is cut to `most`, as the API does it. */
export function paging(query: Query, { usual, most }: { usual: number; most: number }): Paging {
  const page = positive(query["page"]) ?? 1;
  return { page, perPage: Math.min(positive(query["per_page"]) ?? usual, most) };
}

export type Query = Readonly<Record<string, string | string[] | undefined>>;

/** The last of several values of one name; the API reads query parameters that way. */
export const text = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.at(-1) : value;

function positive(value: string | string[] | undefined): number | undefined {
  const number = Number(text(value));
  return Number.isInteger(number) && number > 0 ? number : undefined;
}

export function page<T>(
  all: readonly T[],
  { page, perPage }: Paging,
  shown: (item: T) => unknown = (item) => item,
): Envelope {
  const items = all.slice((page - 1) * perPage, page * perPage).map(shown);
  return success(items, {
    resultInfo: {
      page,
      per_page: perPage,
      count: items.length,
      total_count: all.length,
      total_pages: Math.max(1, Math.ceil(all.length / perPage)),
    },
  });
}
