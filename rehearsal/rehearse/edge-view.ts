import type {
  AccessApplicationView,
  CloudClient,
  DnsRecordView,
  PagesProjectView,
  RedirectView,
  TunnelView,
} from "./cloud-client";
import type { EdgeView } from "./inspection";

/** The end of a CNAME to a tunnel. */
export const TUNNEL_DOMAIN = ".cfargotunnel.com";
/** The end of a CNAME to a Pages project. */
export const PAGES_DOMAIN = ".pages.dev";

/**
 * What the zone's names lead to at Cloudflare, as far as the records say that there is such a thing: the program's token may not look at
 * what its platform does not have.
 */
export async function readEdge(
  cloudflare: CloudClient,
  { accountId, zoneId }: { readonly accountId: string; readonly zoneId: string },
  records: readonly DnsRecordView[],
): Promise<EdgeView> {
  const account = `/accounts/${accountId}`;
  const leadsTo = (end: string): boolean =>
    records.some(({ type, content }) => type === "CNAME" && content.endsWith(end));
  const tunnels = leadsTo(TUNNEL_DOMAIN)
    ? (
        await cloudflare.get<{ result: { id: string; name: string }[] }>(
          `${account}/cfd_tunnel?is_deleted=false&per_page=50`,
        )
      ).result
    : [];
  const withRules = await Promise.all(
    tunnels.map(async ({ id, name }): Promise<TunnelView> => {
      const { result } = await cloudflare.get<{ result: { config: { ingress?: TunnelView["rules"] } | null } }>(
        `${account}/cfd_tunnel/${id}/configurations`,
      );
      return { id, name, rules: result.config?.ingress ?? [] };
    }),
  );
  const guarded = withRules.some(({ rules }) =>
    rules.some(({ originRequest }) => originRequest?.access?.required === true),
  );
  return {
    tunnels: withRules,
    redirects: await redirectsOf(cloudflare, zoneId),
    accessApplications: guarded
      ? (await cloudflare.get<{ result: AccessApplicationView[] }>(`${account}/access/apps?per_page=100`)).result
      : [],
    pagesProjects: leadsTo(PAGES_DOMAIN)
      ? (await cloudflare.get<{ result: PagesProjectView[] }>(`${account}/pages/projects`)).result
      : [],
  };
}

/** None is no entry point, or a token that may not see it, because the platform has no redirect. */
async function redirectsOf(cloudflare: CloudClient, zoneId: string): Promise<readonly RedirectView[]> {
  try {
    const path = `/zones/${zoneId}/rulesets/phases/http_request_dynamic_redirect/entrypoint`;
    return (await cloudflare.get<{ result: { rules?: RedirectView[] } }>(path)).result.rules ?? [];
  } catch (error) {
    if (/ answered (403|404)/.test((error as Error).message)) return [];
    throw error;
  }
}
