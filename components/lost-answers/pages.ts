import type { Find, Finders } from "./left";

export const PAGES_PROJECT = "cloudflare:index/pagesProject:PagesProject";
export const PAGES_DOMAIN = "cloudflare:index/pagesDomain:PagesDomain";

const project: Find = async ({ cloudflare }, inputs) => {
  const [account, name] = [String(inputs["accountId"]), String(inputs["name"])];
  return (await cloudflare.get(`/accounts/${account}/pages/projects/${name}`)) === undefined
    ? undefined
    : {
        title: `Pages project ${name}`,
        mark: undefined, // it has no field for one
        otherwise:
          "If a run that was interrupted made it, or somebody by hand, take it over: " +
          `pulumi import cloudflare:index/pagesProject:PagesProject <name> ${account}/${name}`,
        remove: async () => {},
      };
};

/** Of a project that is in this stack's state. */
const domain: Find = async ({ cloudflare }, inputs, mine) => {
  const [account, itsProject, name] = ["accountId", "projectName", "name"].map((key) => String(inputs[key]));
  const path = `/accounts/${account}/pages/projects/${itsProject}/domains/${name}`;
  return (await cloudflare.get(path)) === undefined
    ? undefined
    : {
        title: `domain ${name} of the Pages project ${itsProject}`,
        mark: mine,
        remove: async () => {
          await cloudflare.send("DELETE", path);
        },
      };
};

export const PAGES: Finders = { [PAGES_PROJECT]: project, [PAGES_DOMAIN]: domain };
