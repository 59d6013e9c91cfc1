import * as pulumi from "@pulumi/pulumi";

/** What Pulumi's own runner ends with when the user has been told what is wrong (cmd/run/index.js, SDK 3.270). */
const EXIT_CODE_TOLD = 32;

/**
 * Ends the program with a message for people. Thrown inside an output, the same words come out at the end of a chain of "error
 * serializing property", once for each resource that waits for it. What the engine has begun it still ends.
 */
export async function stop(message: string, component?: pulumi.Resource): Promise<never> {
  await pulumi.log.error(message, component);
  process.exit(EXIT_CODE_TOLD);
}
