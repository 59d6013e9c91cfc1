import { Interruption } from "../processes/interruption";
import { ensureTools, REHEARSAL_TOOLS, ToolchainError } from "../toolchain";
import { progressPrinter } from "../toolchain/command";
import { checkCanIsolate, runInPrivateNetwork } from "../wire/private-network";

/** Why the real Traefik cannot run here as things are, and what would help; undefined where it can. Nothing is built by asking. */
export async function whyNoTraefik(): Promise<string | undefined> {
  try {
    checkCanIsolate();
    await ensureTools(["traefik"], { ways: ["cache", "path"] });
    return undefined;
  } catch (error) {
    if (error instanceof ToolchainError)
      return "the real Traefik is not on this machine: npm run toolchain -- setup traefik (builds it once, about 8 minutes)";
    return (error as Error).message;
  }
}

/**
 * Runs this command again, with the same arguments or with these, in a private network, where Traefik has its addresses, and answers its
 * exit code. What comes from the internet is fetched before: nothing leaves a private network.
 */
export async function runWithTraefik(args?: readonly string[]): Promise<number> {
  checkCanIsolate();
  const interruption = new Interruption();
  try {
    await ensureTools([...REHEARSAL_TOOLS, "traefik"], {
      signal: interruption.signal,
      onProgress: progressPrinter(process.stderr),
    });
  } catch (error) {
    if (interruption.exitCode !== undefined) return interruption.exitCode;
    throw error;
  } finally {
    interruption.release();
  }
  return await runInPrivateNetwork(args);
}
