import { z } from "zod";

/**
 * What a stack says beside the definition (`stacks/Pulumi.<stack>.yaml`, namespace `trivet`): what varies or is secret.
 * Strict: a key that nobody reads is an error, because a misspelt key is a setting that silently does not hold.
 */
export const settingsSchema = z.strictObject({
  /** Raised by one to rebuild the whole cluster with new authorities. */
  generation: z.int().min(1).max(9999).default(1),
  /** Addresses of the people who operate it, as CIDR. They reach the Kubernetes API and every host with `guard: "operators"`. */
  operators: z.array(z.string()).min(1),
  cloudflareAccountId: z.string().regex(/^[0-9a-f]{32}$/),
  cloudflareZoneId: z.string().regex(/^[0-9a-f]{32}$/),
  /** Image references with digest, by the name the definition uses. */
  images: z.record(z.string(), z.string()).default({}),
  /** `production` refuses what is fine for a trial. */
  environment: z.enum(["production", "staging"]).default("production"),
  /** Overrides the definition's: stock differs from account to account. */
  location: z.string().optional(),
  serverType: z.string().optional(),
  /** More names and addresses for the API server's certificate. */
  extraTlsSans: z.array(z.string()).default([]),
  /** False lets `pulumi destroy` delete the network and the addresses. */
  protect: z.boolean().default(true),
});

export type Settings = z.output<typeof settingsSchema>;

/** The stack's configuration as it was read, not yet checked. */
export interface RawSettings {
  readonly stack: string;
  /** The file it came from, for messages. */
  readonly source: string;
  /** Keys without the `trivet:` in front, values parsed from JSON where they are objects, lists, numbers or booleans. No secret value. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Names of the keys that are set as secrets. */
  readonly secretNames: readonly string[];
}
