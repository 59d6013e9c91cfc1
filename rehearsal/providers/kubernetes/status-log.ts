/** Status lines of one step, each said once. */

import type { ResourceCall } from "../protocol/provider";

type Severity = Parameters<ResourceCall["log"]>[0];

export class StatusLog {
  private readonly log: ResourceCall["log"];
  private readonly said = new Set<string>();

  constructor(log: ResourceCall["log"]) {
    this.log = log;
  }

  say(severity: Severity, message: string): void {
    const key = `${severity} ${message}`;
    if (this.said.has(key)) return;
    this.said.add(key);
    this.log(severity, message, { status: true });
  }

  /** Empties the status column. */
  clear(): void {
    this.log("info", "", { status: true });
  }
}
