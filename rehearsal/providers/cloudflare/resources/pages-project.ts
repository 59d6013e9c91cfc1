import type { ResourceType } from "../resource-type";
import { any, flag, list, map, number, object, text } from "../schema";

const must = text({ required: true });
const filled = { computed: true, optional: true } as const;

const deploymentConfig = object(
  {
    aiBindings: map(object({ projectId: must })),
    alwaysUseLatestCompatibilityDate: flag({ ...filled, default: false }),
    analyticsEngineDatasets: map(object({ dataset: must })),
    browsers: map(object({})),
    buildImageMajorVersion: number({ ...filled, default: 3 }),
    compatibilityDate: text(filled),
    compatibilityFlags: list(text(), { ...filled, default: [] }),
    d1Databases: map(object({ id: must }), { terraformName: "d1_databases" }),
    durableObjectNamespaces: map(object({ namespaceId: must })),
    // The API answers with an empty value for a secret.
    envVars: map(
      object({
        type: text({ required: true, oneOf: ["plain_text", "secret_text"] }),
        value: text({ required: true, secret: true, refreshed: false }),
      }),
    ),
    failOpen: flag({ ...filled, default: true }),
    hyperdriveBindings: map(object({ id: must })),
    kvNamespaces: map(object({ namespaceId: must })),
    limits: object({ cpuMs: number({ required: true }) }),
    mtlsCertificates: map(object({ certificateId: must })),
    placement: object({ mode: text() }),
    queueProducers: map(object({ name: must })),
    r2Buckets: map(object({ jurisdiction: text(), name: must }), { terraformName: "r2_buckets" }),
    services: map(object({ entrypoint: text(), environment: text(), service: must })),
    usageModel: text({ ...filled, oneOf: ["standard", "bundled", "unbound"] }),
    vectorizeBindings: map(object({ indexName: must })),
    wranglerConfigHash: text(),
  },
  filled,
);

export const pagesProject: ResourceType = {
  token: "cloudflare:index/pagesProject:PagesProject",
  attributes: {
    id: text({ computed: true, keeps: true, apiName: false }),
    accountId: text({ apiName: false, replaces: true }),
    name: text({ required: true, replaces: true }),
    productionBranch: text({ required: true }),
    buildConfig: object(
      {
        buildCaching: flag(filled),
        buildCommand: text(filled),
        destinationDir: text(filled),
        rootDir: text(filled),
        webAnalyticsTag: text(filled),
        webAnalyticsToken: text(filled),
      },
      { ...filled, keeps: "even-unknown" },
    ),
    deploymentConfigs: object(
      { preview: deploymentConfig, production: deploymentConfig },
      { ...filled, keeps: "even-unknown" },
    ),
    source: object(
      {
        type: text({ required: true, oneOf: ["github", "gitlab"] }),
        config: object(
          {
            deploymentsEnabled: flag(filled),
            owner: text(filled),
            ownerId: text(filled),
            pathExcludes: list(text(), filled),
            pathIncludes: list(text(), filled),
            prCommentsEnabled: flag(filled),
            previewBranchExcludes: list(text(), filled),
            previewBranchIncludes: list(text(), filled),
            previewDeploymentSetting: text({ ...filled, oneOf: ["all", "none", "custom"] }),
            productionBranch: text(filled),
            productionDeploymentsEnabled: flag(filled),
            repoId: text(filled),
            repoName: text(filled),
          },
          { required: true },
        ),
      },
      { neverUnknown: "update" },
    ),
    canonicalDeployment: any({ computed: true, keeps: true }),
    createdOn: text({ computed: true, keeps: true }),
    domains: list(text(), { computed: true, keeps: true }),
    framework: text({ computed: true, keeps: true }),
    frameworkVersion: text({ computed: true, keeps: true }),
    latestDeployment: any({ computed: true, keeps: true }),
    previewScriptName: text({ computed: true, keeps: true }),
    productionScriptName: text({ computed: true, keeps: true }),
    subdomain: text({ computed: true, keeps: true }),
    usesFunctions: flag({ computed: true, keeps: true }),
  },
  create: { method: "POST", path: "/accounts/{accountId}/pages/projects" },
  read: { method: "GET", path: "/accounts/{accountId}/pages/projects/{name}" },
  update: { method: "PATCH", path: "/accounts/{accountId}/pages/projects/{name}" },
  delete: { method: "DELETE", path: "/accounts/{accountId}/pages/projects/{name}" },
  idFrom: "name",
  importId: ["accountId", "name"],
};
