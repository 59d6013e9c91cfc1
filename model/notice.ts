/** Worth saying, no reason to stop: warnings of a preview, notes of `trivet doctor`. */
export interface Notice {
  readonly code: NoticeCode;
  /** Where it could be changed: `edge.zone.mail` in the definition, `trivet:emergency` in the stack's settings. */
  readonly path: string;
  readonly text: string;
}

/** A code never changes its meaning. */
export const NOTICES = {
  NT001: "the emergency would show visitors a certificate that they do not trust",
  NT002: "the zone is not signed, or its DS record is not known to be at the registrar",
  NT003: "anybody can send mail in the domain's name",
  NT004: "the public certificate ends soon",
  NT005: "while Cloudflare is bypassed, sites and guarded hosts stay with it",
} as const;

export type NoticeCode = keyof typeof NOTICES;
