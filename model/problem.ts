/** One mistake in a definition or in the stack's settings. Checks return these and never throw, so that all are seen at once. */
export interface Problem {
  /** Stable, e.g. "HZ001"; its anchor in docs/errors.md says more. */
  readonly code: string;
  /** Where: `cluster.location` in the definition, `trivet:operators[0]` in the stack's settings. */
  readonly path: string;
  /** What was found there; left out when there is nothing, or when it may be secret. */
  readonly got?: unknown;
  /** What is wrong with it, when "allowed" does not say it. */
  readonly reason?: string;
  /** What would be right: the values, or a sentence such as "1 to 65535". */
  readonly allowed?: readonly string[] | string;
  /** The allowed value that was probably meant. */
  readonly suggestion?: string;
  /** What to do: a sentence or a command. */
  readonly action?: string;
}
