import * as pulumi from "@pulumi/pulumi";
import { AUTHORITIES, type Authority, type ClusterSecrets } from "./user-data";

/**
 * What must outlive the state for a cluster to be had back from its snapshots: they are encrypted with its token, and hold the
 * authorities that its nodes and people believe in.
 */
export interface Escrow {
  readonly schemaVersion: 1;
  readonly platform: string;
  readonly generation: number;
  readonly secrets: ClusterSecrets;
}

/** Reads the text of the config secret `escrow`. Says what is wrong with it, never what is in it. */
export function readEscrow(text: string, expected: { readonly platform: string; readonly generation: number }): Escrow {
  const refuse = (why: string): never => {
    throw new pulumi.RunError(
      `The config secret trivet:escrow ${why}. It is what \`trivet escrow\` wrote, opened: ` +
        "`trivet escrow --into-stack FILE` sets it; `pulumi config rm trivet:escrow` makes the cluster's own again.",
    );
  };
  let escrow: Partial<Escrow>;
  try {
    escrow = JSON.parse(text) as Partial<Escrow>;
  } catch {
    return refuse("is no JSON");
  }
  const { schemaVersion, platform, generation, secrets } = escrow ?? {};
  if (schemaVersion !== 1) refuse("is of another format than this version of Trivet knows (schemaVersion 1)");
  if (platform !== expected.platform) refuse(`is of the platform "${platform}", this one is "${expected.platform}"`);
  if (generation !== expected.generation)
    refuse(`is of generation ${generation}, this cluster is of generation ${expected.generation}`);
  const missing = missingIn(secrets ?? {});
  if (secrets === undefined || missing.length > 0) return refuse(`lacks ${missing.join(", ")}`);
  return { schemaVersion: 1, platform: expected.platform, generation: expected.generation, secrets };
}

/** Names of what is not there, or is no text. */
function missingIn({ authorities, ...rest }: Partial<ClusterSecrets>): string[] {
  const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
  const single = (["serviceAccountKeyPem", "serverToken", "agentToken"] as const).filter((name) => !isText(rest[name]));
  const pairs = (Object.keys(AUTHORITIES) as Authority[]).flatMap((name) =>
    (["certificatePem", "privateKeyPem"] as const)
      .filter((part) => !isText(authorities?.[name]?.[part]))
      .map((part) => `authorities.${name}.${part}`),
  );
  return [...pairs, ...single];
}
