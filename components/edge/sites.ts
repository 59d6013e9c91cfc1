import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { Edge, Site } from "../../model/platform";
import type { CloudOptions } from "../cloud-options";
import { settingsOf } from "./records";

export interface SitesArgs {
  edge: Edge;
  comment: pulumi.Input<string>;
  cloudOptions: CloudOptions;
}

/** Static sites on Cloudflare Pages: nothing of them passes the cluster. */
export function makeSites(name: string, { edge, comment, cloudOptions }: SitesArgs, parent: pulumi.Resource): void {
  for (const site of edge.sites) {
    const project = new cloudflare.PagesProject(
      `${name}-site-${site.name}`,
      {
        accountId: edge.zone.accountId,
        name: site.projectName,
        productionBranch: site.branch,
        ...repositoryOf(site),
      },
      cloudOptions({ parent }),
    );
    for (const { fqdn, label } of site.hosts) {
      const role = `${name}-site-${site.name}-${label === "@" ? "apex" : label}`;
      // The name has to lead there before Cloudflare believes that the domain is the project's.
      const record = new cloudflare.DnsRecord(
        role,
        {
          zoneId: edge.zone.id,
          name: fqdn,
          type: "CNAME",
          content: project.subdomain, // not always <name>.pages.dev: that name is one for all accounts
          proxied: true,
          ttl: 1,
          comment,
          ...settingsOf("CNAME"),
        },
        cloudOptions({ parent }),
      );
      new cloudflare.PagesDomain(
        role,
        { accountId: edge.zone.accountId, projectName: project.name, name: fqdn },
        cloudOptions({ parent, dependsOn: record }),
      );
    }
  }
}

const repositoryOf = ({ repository, branch }: Site): Pick<cloudflare.PagesProjectArgs, "source" | "buildConfig"> =>
  repository === undefined
    ? {}
    : {
        source: {
          type: "github",
          config: {
            owner: repository.owner,
            repoName: repository.name,
            productionBranch: branch,
            productionDeploymentsEnabled: true,
            previewDeploymentSetting: "none", // a branch of anybody's must not be served under our name
          },
        },
        buildConfig: {
          ...(repository.buildCommand === undefined ? {} : { buildCommand: repository.buildCommand }),
          ...(repository.output === undefined ? {} : { destinationDir: repository.output }),
        },
      };
