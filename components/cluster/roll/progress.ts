import * as pulumi from "@pulumi/pulumi";

/** How often the same step is told again where nobody watches a terminal. */
const REPEAT_SECONDS = 30;

/**
 * Tells what a roll does. Each new step is a line that stays; how far it has come is a status that the next one replaces. In a
 * log of a CI job, which shows no status, the step is told again every half minute, so that nobody takes it for hung.
 */
export function progressLines(
  component: pulumi.Resource,
  environment: NodeJS.ProcessEnv = process.env,
): (line: string) => void {
  const inLog = (environment["CI"] ?? "") !== "";
  const told = new Map<string, number>();
  return (line) => {
    // "node b: draining: 3 of 11 pods left": the node and the step, then how far.
    const step = line.split(": ", 2).join(": ");
    const now = performance.now() / 1000;
    const last = told.get(step);
    const stays = last === undefined || (inLog && now - last >= REPEAT_SECONDS);
    if (stays) told.set(step, now);
    void pulumi.log.info(line, component, undefined, !stays);
  };
}
