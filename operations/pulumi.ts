import { x } from "tinyexec";
import { EXIT, Refusal } from "./refusal";

/** Which stack a command is about. */
export interface PulumiOptions {
  /** Folder of Pulumi.yaml. */
  readonly directory: string;
  /** Undefined: the one that `pulumi stack select` chose. */
  readonly stack: string | undefined;
  /** Undefined: the stack's own file. A rehearsal has one elsewhere. */
  readonly configFile: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
}

/** Exit codes of the Pulumi CLI that have a meaning of their own (seen with 3.259.0). */
const NOT_LOGGED_IN = 3;
const NO_SUCH_STACK = 6;

/** The Pulumi CLI on PATH, run as a person runs it. */
export class Pulumi {
  readonly #options: PulumiOptions;

  constructor(options: PulumiOptions) {
    this.#options = options;
  }

  /** The output of a command that changes nothing. Its own messages are shown only when it fails. */
  async read(args: readonly string[], stdin?: string): Promise<string> {
    const command = `pulumi ${args.slice(0, 2).join(" ")}`; // never more: the rest may hold values
    const process_ = x("pulumi", [...args, ...this.#about(args), "--non-interactive", "--color", "never"], {
      ...(stdin === undefined ? {} : { stdin }),
      nodeOptions: {
        cwd: this.#options.directory,
        env: this.#options.environment,
        stdio: [stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      },
    });
    // One that ends before it has read everything says why itself; the broken pipe would end us first.
    process_.process?.stdin?.on("error", () => undefined);
    const { stdout, stderr, exitCode } = await process_.then(undefined, (error: unknown) => {
      throw cannotStart(error);
    });
    if (exitCode !== 0) throw failure(command, exitCode, stderr);
    return stdout;
  }

  /**
   * A command that shows its own progress, on the terminal of the person. What it prints goes to stderr where stdout is wanted for
   * the result. Answers with its exit code, 130 when it was interrupted; Ctrl-C is left to it, because it must finish the steps under way.
   */
  async run(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<number> {
    const process_ = x("pulumi", [...args, ...this.#about(args)], {
      nodeOptions: {
        cwd: this.#options.directory,
        env: { ...this.#options.environment, ...environment },
        stdio: ["inherit", 2, 2],
      },
    });
    // On a terminal the whole group has got it already; twice would mean "at once".
    let interrupted = false;
    const pass = (signal: NodeJS.Signals): void => {
      interrupted = true;
      if (!(signal === "SIGINT" && process.stdin.isTTY)) process_.kill(signal === "SIGHUP" ? "SIGINT" : signal);
    };
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    for (const signal of signals) process.on(signal, pass);
    try {
      const { exitCode } = await process_.then(undefined, (error: unknown) => {
        throw cannotStart(error);
      });
      return interrupted || exitCode === undefined ? EXIT.interrupted : exitCode;
    } finally {
      for (const signal of signals) process.off(signal, pass);
    }
  }

  #about(args: readonly string[]): string[] {
    const { stack, configFile } = this.#options;
    return [
      ...(stack === undefined ? [] : ["--stack", stack]),
      ...(configFile === undefined || !READS_CONFIG.has(args[0] ?? "") ? [] : ["--config-file", configFile]),
    ];
  }
}

/** The commands that know --config-file. */
const READS_CONFIG: ReadonlySet<string> = new Set(["config", "up", "preview", "refresh"]);

function cannotStart(error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== "ENOENT") return new Refusal(`pulumi cannot be started: ${message}`, EXIT.usage);
  return new Refusal(
    "There is no pulumi on PATH. Do: install the Pulumi CLI (https://www.pulumi.com/docs/install/), 3.259 or newer.",
    EXIT.usage,
  );
}

function failure(command: string, exitCode: number | undefined, stderr: string): Error {
  const said = stderr.replaceAll(/^error: /gm, "").trim();
  const advice =
    /access.?token|pulumi login|not logged in/i.test(said) || exitCode === NOT_LOGGED_IN
      ? "You are not logged in to where the state is kept. Do: pulumi login, or set PULUMI_BACKEND_URL."
      : exitCode === NO_SUCH_STACK || /no stack named/.test(said)
        ? "There is no such stack. Do: pulumi stack ls shows those there are; name one with --stack."
        : /no stack selected|select a stack/i.test(said)
          ? "No stack is chosen. Do: add --stack NAME, or pulumi stack select NAME."
          : /passphrase/.test(said)
            ? "The stack's secrets cannot be read. Do: set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE."
            : undefined;
  return new Refusal(
    [
      `${command} failed: ${said === "" ? `exit code ${exitCode ?? "unknown"}` : said}`,
      ...(advice ? [advice] : []),
    ].join("\n"),
    EXIT.usage,
  );
}
