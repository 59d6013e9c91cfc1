/**
 * The API's error codes that this emulator answers, with their HTTP status.
 * Codes and meaning: docs.hetzner.cloud, "Errors", and hcloud-go 2.47.0 `error.go`. Clients decide by the code; where the
 * documentation gives no status for a code, the status is that of its nearest kin.
 */
const STATUS_BY_CODE = {
  json_error: 400,
  unauthorized: 401,
  forbidden: 403,
  token_readonly: 403,
  resource_limit_exceeded: 403,
  not_found: 404,
  conflict: 409,
  uniqueness_error: 409,
  server_already_attached: 409,
  server_already_added: 409,
  firewall_already_applied: 409,
  primary_ip_assigned: 409,
  primary_ip_already_assigned: 409,
  server_has_ipv4: 409,
  server_has_ipv6: 409,
  resource_in_use: 409,
  ip_not_available: 409,
  no_subnet_available: 409,
  networks_overlap: 409,
  firewall_managed_by_label_selector: 409,
  deprecated_api_endpoint: 410,
  resource_unavailable: 412,
  placement_error: 412,
  invalid_input: 422,
  invalid_server_type: 422,
  primary_ip_version_mismatch: 422,
  primary_ip_datacenter_mismatch: 422,
  firewall_resource_not_found: 422,
  incompatible_network_type: 422,
  private_net_only_server: 422,
  server_not_stopped: 422,
  locked: 423,
  protected: 423,
  rate_limit_exceeded: 429,
  server_error: 500,
  unsupported_error: 501,
  bad_gateway: 502,
  service_error: 503,
  timeout: 504,
} as const;

export type ErrorCode = keyof typeof STATUS_BY_CODE;

export interface FieldProblem {
  /** Path with dots: `public_net.ipv4`. */
  name: string;
  messages: string[];
}

/** A refusal, as the API makes it. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly details: unknown;

  constructor(code: ErrorCode, message: string, details: unknown = null) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return STATUS_BY_CODE[this.code];
  }

  get body(): unknown {
    return errorBody(this.code, this.message, this.details);
  }
}

export const errorBody = (code: ErrorCode, message: string, details: unknown = null): unknown => ({
  error: { code, message, details },
});

export function invalidInput(fields: readonly FieldProblem[]): ApiError {
  const names = fields.map(({ name }) => `'${name}'`).join(", ");
  const [first] = fields;
  const message =
    fields.length === 1 && first !== undefined
      ? `invalid input in field ${names}: ${first.messages.join(", ")}`
      : `invalid input in fields ${names}`;
  return new ApiError("invalid_input", message, { fields });
}

export const invalidField = (name: string, message: string): ApiError => invalidInput([{ name, messages: [message] }]);

export const notFound = (kind: string, id: number | string): ApiError =>
  new ApiError("not_found", `${kind} with ID '${id}' not found`);

export const notUnique = (message: string, field: string): ApiError =>
  new ApiError("uniqueness_error", message, { fields: [{ name: field }] });

/** The code for a status that no route chose: faults, malformed JSON, unknown routes, failures of the emulator. */
export function codeOfStatus(status: number): ErrorCode {
  const byStatus: Record<number, ErrorCode> = {
    400: "json_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    412: "resource_unavailable",
    422: "invalid_input",
    423: "locked",
    429: "rate_limit_exceeded",
    502: "bad_gateway",
    503: "service_error",
    504: "timeout",
  };
  return byStatus[status] ?? "server_error";
}
