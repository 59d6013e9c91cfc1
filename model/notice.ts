import type { PlatformDefinition } from "./definition";
import type { Edge } from "./platform";
import { PUBLIC_CERTIFICATE_SECRETS, type Settings } from "./settings";

/** Worth saying, no reason to stop: said in a preview, and by `trivet doctor`. */
export interface Notice {
  readonly code: NoticeCode;
  /** A warning is of something that holds now; a reminder of something that could be better. */
  readonly level: "warning" | "reminder";
  /** Where it could be changed: `edge.zone.mail` in the definition, `trivet:emergency` in the stack's settings. */
  readonly path: string;
  readonly text: string;
}

/** A code never changes its meaning. NT004 needs the certificate and a clock, so `trivet doctor` says it. */
export const NOTICES = {
  NT001: "the emergency would show visitors a certificate that they do not trust",
  NT002: "the zone is not signed, or its DS record is not known to be at the registrar",
  NT003: "anybody can send mail in the domain's name",
  NT004: "the public certificate ends soon",
  NT005: "while Cloudflare is bypassed, sites and guarded hosts stay with it",
  NT006: "the Kubernetes API has no way but through Cloudflare",
} as const;

export type NoticeCode = keyof typeof NOTICES;

/** What a checked platform still has to be told. */
export const notices = (
  { edge: { zone = {} }, domain }: PlatformDefinition,
  edge: Edge,
  settings: Settings,
  /** Of the stack's secrets. */
  secretNames: readonly string[],
): Notice[] => {
  const direct = edge.mode === "direct";
  const [missing, ...others] = PUBLIC_CERTIFICATE_SECRETS.filter((name) => !secretNames.includes(name));
  const half = others.length === 0 ? missing : undefined;
  const staying = [
    ...edge.sites.flatMap(({ hosts }) => hosts.map(({ fqdn }) => fqdn)),
    ...new Set(edge.routes.filter(({ via }) => via === "operators").map(({ fqdn }) => fqdn)),
  ];
  const wants = (is: boolean, notice: Notice): Notice[] => (is ? [notice] : []);
  return [
    ...wants((direct || edge.direct.prepared || half !== undefined) && edge.direct.certificate === undefined, {
      code: "NT001",
      level: direct || half !== undefined ? "warning" : "reminder",
      path: direct ? "trivet:emergency" : `trivet:${half ?? "publicCertificate"}`,
      text: `${half === undefined ? "" : `half of the public certificate is there, ${half} is not: in an emergency, `}without a public certificate visitors' browsers show NET::ERR_CERT_AUTHORITY_INVALID${
        edge.zone.hsts === undefined ? "" : `, and cannot go on for up to ${edge.zone.hsts.days} days (HSTS)`
      }; apps refuse. Do: trivet certificate`,
    }),
    ...wants(zone.dnssec === undefined, {
      code: "NT002",
      level: "reminder",
      path: "edge.zone.dnssec",
      text: `${domain} is not signed: whoever forges DNS answers leads visitors elsewhere. Do: set it to true and hand the DS record to the registrar, or to false`,
    }),
    ...wants(zone.dnssec === true, {
      code: "NT002",
      level: "reminder",
      path: "edge.zone.dnssec",
      text: `${domain} is signed, which holds once the registrar has the DS record. Do: pulumi stack output dsRecord, and hand it over`,
    }),
    ...wants(zone.mail === undefined && !(zone.records ?? []).some(({ content }) => content.startsWith("v=spf1")), {
      code: "NT003",
      level: "reminder",
      path: "edge.zone.mail",
      text: `nothing here says who sends mail in the name of ${domain}. Do: mail: "none" if nobody does; otherwise name it, or keep its records elsewhere`,
    }),
    ...wants(direct && staying.length > 0, {
      code: "NT005",
      level: "warning",
      path: "trivet:emergency",
      text: `${staying.join(", ")} still go through Cloudflare, and are away when it is`,
    }),
    ...wants(edge.operators?.kubernetesApi === "access" && settings.operators.length === 0, {
      code: "NT006",
      level: direct ? "warning" : "reminder",
      path: "trivet:operators",
      text: "the Kubernetes API is reached through Cloudflare Access alone: an emergency could not be operated. Do: pulumi config set --path 'trivet:operators[0]' <your address>/32",
    }),
  ];
};
