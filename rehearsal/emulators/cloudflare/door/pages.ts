import type { CloudflareState } from "../state";
import { EdgeError } from "./edge-error";
import type { Answer, Visit } from "./visit";

/**
 * What a Pages project answers. Its files are not here (they come by `wrangler pages deploy`), so the answer only says which project was reached.
 * A record alone leads nowhere: the project must have the host as a custom domain, else Cloudflare answers 522
 * (developers.cloudflare.com/pages/configuration/custom-domains, 2026).
 */
export function pagesAnswer({ accounts }: CloudflareState, projectName: string, { host, method, zone }: Visit): Answer {
  const owner = accounts.find(({ pagesProjects }) => pagesProjects.some(({ name }) => name === projectName));
  const project = owner?.pagesProjects.find(({ name }) => name === projectName);
  if (project === undefined) throw new EdgeError("connectTimeout", `there is no Pages project ${projectName}`);
  if (owner?.id !== zone.accountId || !project.domains.some(({ name }) => name === host))
    throw new EdgeError("connectTimeout", `${host} is no custom domain of the Pages project ${projectName}`);
  if (method !== "GET" && method !== "HEAD") return { status: 405, headers: { allow: "GET, HEAD" }, body: "" };
  return {
    status: 200,
    headers: { "content-type": "text/html; charset=utf-8", "cache-control": "public, max-age=0, must-revalidate" },
    body: `<!doctype html><title>${projectName}</title><p>The Pages project ${projectName}, branch ${project.production_branch}.</p>`,
  };
}
