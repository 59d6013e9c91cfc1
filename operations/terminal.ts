import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { styleText } from "node:util";
import { Interruption } from "./interruption";
import { EXIT, Refusal } from "./refusal";

type Format = Parameters<typeof styleText>[0];

/** Where a command's words go: results to stdout, everything else to stderr, so that a result can be piped. */
export interface Terminal {
  result(text: string): void;
  say(text: string): void;
  /** Plain when piped and under NO_COLOR; a word always stands beside the colour. */
  paint(format: Format, text: string): string;
  /** True when the person typed yes. Without a person it refuses, and names the option that answers beforehand. */
  confirm(question: string): Promise<boolean>;
  /** A line typed without being shown. */
  askHidden(question: string): Promise<string>;
}

export function terminal(
  stdin: NodeJS.ReadStream = process.stdin,
  stdout: NodeJS.WriteStream = process.stdout,
  stderr: NodeJS.WriteStream = process.stderr,
): Terminal {
  const ask = async (question: string, hidden: boolean): Promise<string> => {
    const shown = new Writable({ write: (chunk, _encoding, done) => void stderr.write(chunk as Buffer, done) });
    const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
    const reader = createInterface({ input: stdin, output: hidden ? silent : shown, terminal: hidden });
    const closed = new Promise<never>((_, reject) => {
      // The last line before the end is an answer.
      reader.once("close", () => setImmediate(reject, new Refusal("No answer. Nothing was changed.", EXIT.usage)));
    });
    closed.catch(() => undefined);
    const interruption = new Interruption();
    // In the hidden mode readline has the keys, and Ctrl-C makes no signal.
    reader.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
    try {
      if (hidden) stderr.write(question);
      return await Promise.race([reader.question(hidden ? "" : question), closed, interruption.promise]);
    } finally {
      if (hidden) stderr.write("\n");
      interruption.release();
      reader.close();
    }
  };
  return {
    result: (text) => void stdout.write(`${text}\n`),
    say: (text) => void stderr.write(`${text}\n`),
    paint: (format, text) => styleText(format, text, { stream: stdout }),
    confirm: async (question) => {
      if (!stdin.isTTY) {
        throw new Refusal(
          "This needs an answer, and there is no terminal. Add --yes to give it beforehand.",
          EXIT.usage,
        );
      }
      return (await ask(`${question} Type yes: `, false)).trim() === "yes";
    },
    askHidden: async (question) => {
      if (!stdin.isTTY) throw new Refusal(`"${question.trim()}" needs a terminal.`, EXIT.usage);
      return ask(question, true);
    },
  };
}
