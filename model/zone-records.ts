import type { MailArgs, PlatformDefinition } from "./definition";
import type { ZoneRecord } from "./platform";
import { fqdnOf } from "./routes";

/** Cloudflare's word for "as it likes", 300 s. */
const AUTOMATIC_TTL = 1;

/**
 * For a domain that sends no mail. SPF lets nobody send, DMARC has what pretends to refused, an empty key for every selector makes
 * old signatures worthless, and the empty MX (RFC 7505) has senders give up at once.
 */
const NO_MAIL: Required<MailArgs> = {
  mx: [{ host: ".", priority: 0 }],
  spf: "v=spf1 -all",
  dmarc: "v=DMARC1; p=reject; sp=reject; adkim=s; aspf=s",
  dkim: { "*": "v=DKIM1; p=" },
};

/** The records that a definition declares beside its hosts, each with a key that no change of content moves. */
export const zoneRecords = ({ edge: { zone = {} }, domain }: PlatformDefinition): ZoneRecord[] => {
  const { caa = [], mail, records = [] } = zone;
  const taken = new Map<string, number>();
  return [
    ...caa.map((issuer) => record(`caa-${issuer}`, "CAA", domain, `0 issue "${issuer}"`)),
    ...(mail === undefined ? [] : mailRecords(mail === "none" ? NO_MAIL : mail, domain)),
    ...records.map(({ name, type, content, ttlSeconds = AUTOMATIC_TTL }) => {
      // The first of a kind needs no number, so that most keys say what they are.
      const key = `${type.toLowerCase()}-${name === "@" ? "apex" : name}`;
      const count = (taken.get(key) ?? 0) + 1;
      taken.set(key, count);
      return { ...record(count === 1 ? key : `${key}-${count}`, type, fqdnOf(name, domain), content), ttlSeconds };
    }),
  ];
};

const mailRecords = ({ mx, spf, dmarc, dkim = {} }: MailArgs, domain: string): ZoneRecord[] => [
  ...mx.map(({ host, priority }) => ({
    ...record(`mail-mx-${host === "." ? "none" : host}`, "MX", domain, host),
    priority,
  })),
  record("mail-spf", "TXT", domain, spf),
  record("mail-dmarc", "TXT", `_dmarc.${domain}`, dmarc),
  ...Object.entries(dkim).map(([selector, content]) =>
    record(`mail-dkim-${selector === "*" ? "any" : selector}`, "TXT", `${selector}._domainkey.${domain}`, content),
  ),
];

const record = (key: string, type: ZoneRecord["type"], fqdn: string, content: string): ZoneRecord => ({
  key,
  fqdn,
  type,
  content,
  priority: undefined,
  ttlSeconds: AUTOMATIC_TTL,
});
