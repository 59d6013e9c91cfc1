/** One mistake in a server's user-data: where it is, and what is wrong. Never holds a secret value. */
export interface Problem {
  /** For example `cloud-config: write_files[3].permissions` or `/etc/rancher/k3s/config.yaml: tls-san`. */
  where: string;
  what: string;
}

/** A server cannot boot. Carries every mistake that was found, not only the first. */
export class BootFailure extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(({ where, what }) => `${where}: ${what}`).join("\n"));
    this.name = "BootFailure";
    this.problems = problems;
  }
}

/** Throws what has been found so far, if anything. */
export function throwIfAny(problems: readonly Problem[]): void {
  if (problems.length > 0) throw new BootFailure(problems);
}
