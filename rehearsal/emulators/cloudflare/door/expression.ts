import ipaddr from "ipaddr.js";
import { type Visit } from "./visit";

type Value = string | number | boolean;
type Reader = (visit: Visit) => Value;

/** What the rules language can ask of a visit here; the API takes more fields than this edge can answer for. */
const FIELDS: Readonly<Record<string, Reader>> = {
  "cf.edge.server_port": ({ port }) => port,
  "http.cookie": ({ headers }) => headers.cookie ?? "",
  "http.host": ({ host }) => host,
  "http.referer": ({ headers }) => headers.referer ?? "",
  "http.request.full_uri": ({ scheme, host, path }) => `${scheme}://${host}${path}`,
  "http.request.method": ({ method }) => method,
  "http.request.uri": ({ path }) => path,
  "http.request.uri.path": ({ path }) => pathOf(path),
  "http.request.uri.path.extension": ({ path }) => extensionOf(path),
  "http.request.uri.query": ({ path }) => queryOf(path),
  "http.user_agent": ({ headers }) => headers["user-agent"] ?? "",
  "ip.src": ({ visitorAddress }) => visitorAddress,
  ssl: ({ scheme }) => scheme === "https",
};

const FUNCTIONS: Readonly<Record<string, (...given: string[]) => Value>> = {
  concat: (...parts) => parts.join(""),
  ends_with: (text = "", end = "") => text.endsWith(end),
  len: (text = "") => text.length,
  lower: (text = "") => text.toLowerCase(),
  starts_with: (text = "", start = "") => text.startsWith(start),
  to_string: (value = "") => value,
  upper: (text = "") => text.toUpperCase(),
};

export const pathOf = (path: string): string => path.split("?", 1)[0] ?? path;
export const queryOf = (path: string): string => path.slice(pathOf(path).length + 1);
/** Lower case, without the dot; empty where the last part of the path has none. */
export const extensionOf = (path: string): string =>
  /\.([^./]+)$/.exec(pathOf(path).split("/").at(-1) ?? "")?.[1]?.toLowerCase() ?? "";

/** An expression that the API takes and this edge cannot play. It ends a visit with a 500 that says so, never as "does not match". */
export class UnreadableExpression extends Error {
  constructor(expression: string, what: string) {
    super(`the emulated edge does not read ${what}, in the expression ${expression}`);
    this.name = "UnreadableExpression";
  }
}

const known = new Map<string, Reader>();

/** The value of an expression for one visit. */
export function evaluate(expression: string, visit: Visit): Value {
  let reader = known.get(expression);
  if (reader === undefined) known.set(expression, (reader = new Parser(expression).whole()));
  return reader(visit);
}

export const matches = (expression: string, visit: Visit): boolean => evaluate(expression, visit) === true;

const WORD = /\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z_][\w.]*)|(\d[\w.:/]*)|(&&|\|\||\^\^|[=!<>]=|[<>~!(){},]))/y;
const OPERATORS: Readonly<Record<string, string>> = { "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge" }; // prettier-ignore

/** From the loosest binding to the tightest: or, xor, and, not, comparison. */
class Parser {
  readonly #expression: string;
  readonly #words: string[];
  #at = 0;

  constructor(expression: string) {
    this.#expression = expression;
    this.#words = [];
    WORD.lastIndex = 0;
    for (let end = 0; expression.slice(end).trim() !== ""; end = WORD.lastIndex) {
      WORD.lastIndex = end;
      const found = WORD.exec(expression);
      if (found === null) throw new UnreadableExpression(expression, `"${expression.slice(end).trim()}"`);
      this.#words.push(found[0].trim());
    }
  }

  whole(): Reader {
    const reader = this.#either(["or", "||"], () => this.#either(["xor", "^^"], () => this.#either(["and", "&&"], () => this.#not()))); // prettier-ignore
    if (this.#at < this.#words.length && this.#depth === 0) this.#refuse(this.#words[this.#at]);
    return reader;
  }

  #depth = 0;

  #either(names: readonly string[], next: () => Reader): Reader {
    let left = next();
    while (names.includes(this.#words[this.#at] ?? "")) {
      const [one, other] = [left, (this.#at++, next())];
      left = (visit) => {
        switch (names[0]) {
          case "or":
            return one(visit) === true || other(visit) === true;
          case "xor":
            return (one(visit) === true) !== (other(visit) === true);
          default:
            return one(visit) === true && other(visit) === true;
        }
      };
    }
    return left;
  }

  #not(): Reader {
    if (!this.#take("not") && !this.#take("!")) return this.#comparison();
    const negated = this.#not();
    return (visit) => negated(visit) !== true;
  }

  #comparison(): Reader {
    const left = this.#value();
    const word = this.#words[this.#at] ?? "";
    const operator = OPERATORS[word] ?? word;
    if (operator === "in") {
      this.#at++;
      const set = this.#set();
      return (visit) => set.some((one) => isIn(left(visit), one));
    }
    const compare = COMPARE[operator];
    if (compare === undefined) return left;
    this.#at++;
    const right = this.#value();
    return (visit) => compare(left(visit), right(visit));
  }

  #value(): Reader {
    const word = this.#words[this.#at++];
    if (word === undefined) return this.#refuse("an end in its middle");
    if (word === "(") {
      this.#depth++;
      const inner = this.whole();
      this.#depth--;
      this.#expect(")");
      return inner;
    }
    if (word.startsWith('"')) return always(textOf(word));
    if (word === "true" || word === "false") return always(word === "true");
    if (/^\d+$/.test(word)) return always(Number(word));
    if (/^\d/.test(word)) return always(word);
    if (this.#take("(")) return this.#call(word);
    const field = FIELDS[word.replace(/^raw\./, "")];
    return field ?? this.#refuse(`the field ${word}`);
  }

  #call(name: string): Reader {
    const play = FUNCTIONS[name] ?? this.#refuse(`the function ${name}`);
    const given: Reader[] = [];
    while (!this.#take(")")) {
      given.push(this.#value());
      this.#take(",");
    }
    return (visit) => play(...given.map((one) => String(one(visit))));
  }

  #set(): Value[] {
    this.#expect("{");
    const found: Value[] = [];
    while (!this.#take("}")) {
      const word = this.#words[this.#at++] ?? this.#refuse("a set without an end");
      found.push(word.startsWith('"') ? textOf(word) : /^\d+$/.test(word) ? Number(word) : word);
    }
    return found;
  }

  #take(word: string): boolean {
    if (this.#words[this.#at] !== word) return false;
    this.#at++;
    return true;
  }

  #expect(word: string): void {
    if (!this.#take(word)) this.#refuse(this.#words[this.#at] ?? `a missing ${word}`);
  }

  #refuse(what: string | undefined): never {
    throw new UnreadableExpression(this.#expression, what ?? "this");
  }
}

const always =
  (value: Value): Reader =>
  () =>
    value;

const textOf = (quoted: string): string => quoted.slice(1, -1).replaceAll(/\\(.)/g, "$1");

const COMPARE: Readonly<Record<string, (left: Value, right: Value) => boolean>> = {
  eq: (left, right) => isIn(left, right),
  ne: (left, right) => !isIn(left, right),
  lt: (left, right) => left < right,
  le: (left, right) => left <= right,
  gt: (left, right) => left > right,
  ge: (left, right) => left >= right,
  contains: (left, right) => String(left).includes(String(right)),
  wildcard: (left, right) => wildcard(String(right)).test(String(left)),
  matches: (left, right) => new RegExp(String(right)).test(String(left)),
  "~": (left, right) => new RegExp(String(right)).test(String(left)),
};

/** `*` stands for any text, capital letters for small ones. */
const wildcard = (pattern: string): RegExp =>
  new RegExp(`^${pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`, "i"); // prettier-ignore

/** The same value, or an address in a range. */
function isIn(value: Value, wanted: Value): boolean {
  if (value === wanted) return true;
  if (typeof value !== "string" || typeof wanted !== "string" || !ipaddr.isValid(value)) return false;
  if (!ipaddr.isValidCIDR(wanted)) return false;
  const [base, bits] = ipaddr.parseCIDR(wanted);
  const address = ipaddr.parse(value);
  return address.kind() === base.kind() && address.match(base, bits);
}
