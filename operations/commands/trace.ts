import { walk } from "../../model/walk";
import { EXIT, Refusal } from "../refusal";
import type { StackOptions } from "../stack";
import { openStackFile } from "../stack-file";
import type { Terminal } from "../terminal";
import { renderTrace, traced, urlOf } from "../trace";

export interface TraceOptions extends StackOptions {
  readonly json?: boolean;
}

/** `trivet trace <url>`: the way of a request, hop by hop, by the definition and the settings alone. */
export function trace(
  text: string,
  options: TraceOptions,
  terminal: Terminal,
  { callerDirectory }: { callerDirectory: string },
): number {
  const url = urlOf(text);
  if (url === undefined) {
    throw new Refusal(
      `"${text}" is no address of the web. Do: name one such as https://api.example.com/v1`,
      EXIT.usage,
    );
  }
  const { name, platform } = openStackFile(options, callerDirectory, url.hostname);
  const report = traced(name, walk(platform, url));
  terminal.result(
    options.json === true
      ? JSON.stringify(report, undefined, 2)
      : renderTrace(report, (...args) => terminal.paint(...args)),
  );
  return report.arrives ? EXIT.well : EXIT.problems;
}
