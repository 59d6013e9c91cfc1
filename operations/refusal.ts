/** What a command ends with, as its exit code. */
export const EXIT = {
  well: 0,
  /** Something needs attention, or what was asked for was refused or failed. */
  problems: 1,
  /** Called wrongly, or it cannot be told. */
  usage: 2,
  interrupted: 130,
} as const;

/** A command that stops with a message for people: what is the matter, and what to do. Nothing was changed unless it says so. */
export class Refusal extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.problems) {
    super(message);
    this.name = "Refusal";
    this.exitCode = exitCode;
  }
}
