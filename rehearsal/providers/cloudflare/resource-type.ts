import type { PlanModifier } from "./plan";
import type { Attributes, Plain } from "./schema";
import type { ObjectValue } from "./values";

export interface Endpoint {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With attributes in braces: `/zones/{zoneId}/dns_records/{id}`. `{home}` is `zones/<id>` or `accounts/<id>`, by what is given. */
  path: string;
}

/** All there is to say about one type; the provider does the rest the same for every type. */
export interface ResourceType {
  token: string;
  attributes: Attributes;
  /** Of these, exactly one is given. */
  exactlyOneOf?: readonly string[];
  create: Endpoint;
  read: Endpoint;
  /** Left out: every change replaces. */
  update?: Endpoint;
  /** Left out: the API has no such call, and a delete does nothing. */
  delete?: Endpoint;
  /** The attribute that is the id. Default: the `id` of the answer. */
  idFrom?: string;
  /** Attributes that an import id names, in order: `<zone_id>/<dns_record_id>`. */
  importId: readonly string[];
  /** What the real provider says of a state without a schema version, which it takes for one of its version 4. Left out: nothing. */
  refusesOldStates?: string;
  modifyPlan?: PlanModifier;
  /** What a create or an update refuses before it calls the API; throws. */
  checkCall?: (planned: ObjectValue) => void;
  /** The body of the delete. Left out: none. */
  deleteBody?: (state: ObjectValue) => Plain;
  /** What the API answers, in the form of the schema, where the two differ. */
  fromApi?: (result: Plain, planned: ObjectValue) => Plain;
  /** True of an answer that stands for something that is gone. */
  isGone?: (result: { readonly [key: string]: Plain }) => boolean;
}
