import type { Hop, Walk } from "../model/walk";
import type { Terminal } from "./terminal";

/** What a hop says now, asked for after deploying. */
export interface Sighting {
  readonly verdict: "ok" | "fail" | "unknown";
  readonly says: string;
  /** Where the verdict is no `ok`. */
  readonly action?: string;
}

export interface TracedHop extends Hop {
  readonly now?: Sighting;
}

/** `--json` prints this. */
export interface TraceReport {
  readonly schemaVersion: 1;
  readonly stack: string;
  readonly url: string;
  readonly hops: readonly TracedHop[];
  /** By the model. */
  readonly arrives: boolean;
  /** Only with `--live`: what was answered, and what every hop that could be asked said. */
  readonly live?: { readonly answer: Sighting };
}

/** What a person types: a scheme may be left out, as in a browser. Undefined for what is no address of the web. */
export function urlOf(text: string): URL | undefined {
  try {
    const url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`);
    const host = url.hostname.replace(/\.$/, ""); // DNS' own way to write a whole name
    if (!["http:", "https:"].includes(url.protocol) || host === "") return undefined;
    url.hostname = host;
    return url;
  } catch {
    return undefined;
  }
}

/** Pure: what was seen, beside what the model says. A hop that nobody could ask has no `now`. */
export const traced = (
  stack: string,
  { url, hops, arrives }: Walk,
  live?: { readonly answer: Sighting; readonly sightings: Readonly<Partial<Record<Hop["place"], Sighting>>> },
): TraceReport => ({
  schemaVersion: 1,
  stack,
  url,
  hops: hops.map((hop, index) => {
    // A redirect comes through some places twice; what was asked is where the visitor begins.
    const isFirst = hops.findIndex(({ place }) => place === hop.place) === index;
    const now = isFirst ? live?.sightings[hop.place] : undefined;
    return now === undefined ? hop : { ...hop, now };
  }),
  arrives,
  ...(live === undefined ? {} : { live: { answer: live.answer } }),
});

/** For people: a line a hop, what stands in the way indented below it. */
export function renderTrace(report: TraceReport, paint: Terminal["paint"]): string {
  const { hops, url, stack, arrives, live } = report;
  const width = Math.max(...hops.map(({ place }) => place.length));
  const indent = " ".repeat(8 + width + 2);
  const lines = hops.flatMap(({ place, says, definedAt, closed, now }) => [
    `  ${closed === undefined ? paint("green", "ok    ") : paint("red", "FAIL  ")}${place.padEnd(width)}  ${says}` +
      (definedAt === undefined ? "" : `  (${definedAt})`),
    ...(closed === undefined ? [] : [`${indent}${closed.reason}`, `${indent}do: ${closed.action}  (${closed.path})`]),
    ...(now === undefined ? [] : sightingLines(now, indent, paint)),
  ]);
  const [last] = hops.slice(-1);
  const end = arrives ? paint("green", "arrives") : `${paint("red", "does not arrive")}: ends at ${last?.place ?? "?"}`;
  return [
    `${url} (stack ${stack})`,
    "",
    ...lines,
    "",
    live === undefined ? end : `${end}, by the model`,
    ...(live === undefined ? [] : sightingLines(live.answer, "", paint)),
  ].join("\n");
}

function sightingLines({ verdict, says, action }: Sighting, indent: string, paint: Terminal["paint"]): string[] {
  const colour = verdict === "ok" ? "green" : verdict === "fail" ? "red" : "yellow";
  return [
    `${indent}${paint(colour, verdict === "ok" ? "now" : `now, ${verdict}`)}: ${says}`,
    ...(action === undefined ? [] : [`${indent}do: ${action}`]),
  ];
}
