import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Platform, SecretSource } from "../model/platform";
import { charts, type Manifest } from "./charts";

export interface RenderedFile {
  /** e.g. `honeydue/deployment-api.yaml`; `cluster/…` for objects without a namespace. */
  readonly file: string;
  readonly yaml: string;
}

/** Kept apart from the objects: nothing that applies a folder of manifests reads it. */
const SECRETS_FILE = "secrets.md";

const fileOf = ({ kind, metadata }: Manifest): string =>
  `${metadata.namespace ?? "cluster"}/${kind.toLowerCase()}-${metadata.name}.yaml`;

/** Every object as one YAML file, keys and lists as the charts have them, sorted by file name. Same platform, same bytes. */
export const renderManifests = (platform: Platform): readonly RenderedFile[] =>
  charts(platform)
    .map((manifest) => ({
      file: fileOf(manifest),
      yaml: stringify(manifest, { aliasDuplicateObjects: false, lineWidth: 0 }),
    }))
    .sort((a, b) => (a.file < b.file ? -1 : 1));

const sourceText = (source: SecretSource): string => {
  switch (source.kind) {
    case "config":
      return `\`pulumi config set --secret ${source.name}\``;
    case "generated":
      return "generated once, kept in the stack's state";
    case "originCertificate":
      return source.part === "certificate" ? "the Origin CA certificate" : "its private key, generated";
    case "originPullsAuthority":
      return "the authority of what Cloudflare shows to Traefik, generated";
    case "tunnelToken":
      return `token of the ${source.tunnel}' tunnel`;
    case "publicCertificate": {
      const name = source.part === "certificate" ? "publicCertificate" : "publicCertificateKey";
      return `\`pulumi config set --secret ${name}\``;
    }
    case "registryLogin":
      return `login ${source.username} at ${source.server}, password from \`pulumi config set --secret ${source.passwordName}\``;
  }
};

/** The Secrets that the objects name and Pulumi makes: where each entry comes from, and no value. */
export const secretReferences = ({ secrets }: Platform): string =>
  [
    "# Secrets that `pulumi up` makes",
    "",
    "The objects in these folders name them. Their values are in the stack's configuration and state only.",
    "",
    "| namespace | Secret | type | entry | comes from |",
    "|---|---|---|---|---|",
    ...secrets.flatMap(({ name, namespace, type, entries }) =>
      Object.entries(entries).map(
        ([entry, source]) => `| ${namespace} | ${name} | ${type} | ${entry} | ${sourceText(source)} |`,
      ),
    ),
    "",
  ].join("\n");

/**
 * Writes all of it into a folder, which is made if it is missing. YAML files of an earlier run that have no object any more are
 * removed; other files are left alone. Gives the files written.
 */
export const renderTo = (directory: string, platform: Platform): readonly string[] => {
  const files = renderManifests(platform);
  const wanted = new Set(files.map(({ file }) => file));
  for (const folder of new Set(files.map(({ file }) => file.split("/")[0]!))) {
    mkdirSync(join(directory, folder), { recursive: true });
    for (const old of readdirSync(join(directory, folder)))
      if (old.endsWith(".yaml") && !wanted.has(`${folder}/${old}`)) rmSync(join(directory, folder, old));
  }
  for (const { file, yaml } of files) writeFileSync(join(directory, file), yaml);
  writeFileSync(join(directory, SECRETS_FILE), secretReferences(platform));
  return [...wanted, SECRETS_FILE];
};
