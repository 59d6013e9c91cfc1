/**
 * What the edge answers by itself: the HTTP status, and the number that Cloudflare's pages show
 * (developers.cloudflare.com/support/troubleshooting/http-status-codes, "Cloudflare 5xx errors" and "1xxx errors", 2026).
 */
export const EDGE_ERRORS = {
  /** The host is in no zone here, or its record is not proxied: nothing of it is answered at the edge. */
  noSuchHost: { status: 409, number: 1001 },
  forbidden: { status: 403, number: 403 },
  badRequest: { status: 400, number: 400 },
  originNameUnknown: { status: 530, number: 1016 },
  blocked: { status: 403, number: 1020 },
  tooMany: { status: 429, number: 1015 },
  noConnector: { status: 530, number: 1033 },
  badAnswer: { status: 520, number: 520 },
  refused: { status: 521, number: 521 },
  connectTimeout: { status: 522, number: 522 },
  unreachable: { status: 523, number: 523 },
  answerTimeout: { status: 524, number: 524 },
  handshake: { status: 525, number: 525 },
  certificate: { status: 526, number: 526 },
  badGateway: { status: 502, number: 502 },
  bodyTooLarge: { status: 413, number: 413 },
} as const;
export type EdgeErrorKind = keyof typeof EDGE_ERRORS;

/** A visit that ends at the edge. `reason` is for people who rehearse; Cloudflare does not say it. */
export class EdgeError extends Error {
  readonly kind: EdgeErrorKind;
  /** That the zone adds to every answer. */
  readonly headers: Record<string, string> = {};

  constructor(kind: EdgeErrorKind, reason: string) {
    super(reason);
    this.name = "EdgeError";
    this.kind = kind;
  }

  get status(): number {
    return EDGE_ERRORS[this.kind].status;
  }

  /** As the edge answers clients that are no browsers. */
  get text(): string {
    return `error code: ${EDGE_ERRORS[this.kind].number}`;
  }
}
