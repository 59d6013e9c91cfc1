import { z } from "zod";
import { EXIT, Refusal } from "./refusal";

const authority = z.object({ certificatePem: z.string(), privateKeyPem: z.string() });

/** The program's output `escrow`: everything that makes a cluster this cluster, and cannot be made again. */
const contentSchema = z.object({
  schemaVersion: z.literal(1),
  platform: z.string(),
  generation: z.number(),
  secrets: z.object({
    authorities: z.record(z.string(), authority),
    serviceAccountKeyPem: z.string(),
    serverToken: z.string(),
    agentToken: z.string(),
  }),
});
export type EscrowContent = z.output<typeof contentSchema>;

/** Reads the stack's output. What is wrong with it is said without what is in it. */
export function escrowContent(output: unknown): EscrowContent {
  const parsed = contentSchema.safeParse(output);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.map(({ path }) => path.join(".") || "all of it").join(", ");
  throw new Refusal(
    output === undefined
      ? "The stack has no output named escrow yet: it was never brought up, or by an older Trivet. Do: pulumi up."
      : `What is to be escrowed has an unknown form (${where}). It was written by another version of Trivet.`,
    EXIT.usage,
  );
}
