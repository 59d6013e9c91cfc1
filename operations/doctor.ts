import type { Platform } from "../model/platform";
import { routeUrl, walk } from "../model/walk";
import type { Terminal } from "./terminal";

export const AREAS = ["settings", "routes", "Cloudflare", "certificates", "connectors", "firewall", "tailnet"] as const;

/** One line: what was looked at, and what to do where it is not well. */
export interface Check {
  readonly area: (typeof AREAS)[number];
  /** Never changes its meaning: `ranges`, `token`, `record`, or a notice's code. */
  readonly id: string;
  /** `note`: worth knowing, nobody is needed. `unknown`: it cannot be told. */
  readonly verdict: "ok" | "note" | "fail" | "unknown";
  readonly says: string;
  /** What to do, where the verdict is `fail` or `note`. */
  readonly action?: string;
}

/** `--json` prints this. */
export interface DoctorReport {
  readonly schemaVersion: 1;
  readonly stack: string;
  /** Whether only the definition and the settings were looked at. */
  readonly offline: boolean;
  readonly seconds: number;
  readonly checks: readonly Check[];
}

/** Pure: what the definition and the settings say by themselves. That they can be read at all is known by then. */
export function offlineChecks(platform: Platform): readonly Check[] {
  return [
    { area: "settings", id: "settings", verdict: "ok", says: "the definition and the settings pass every check" },
    ...platform.notices.map(({ code, level, path, text }): Check => {
      const [says = "", action] = text.split(". Do: ", 2);
      return {
        area: "settings",
        id: code,
        verdict: level === "warning" ? "fail" : "note",
        says: `${says} (${path})`,
        ...(action === undefined ? {} : { action }),
      };
    }),
    ...(platform.maintenance.length === 0
      ? []
      : [
          {
            area: "settings",
            id: "maintenance",
            verdict: "note",
            says: `the maintenance page answers for ${platform.maintenance.includes("*") ? "every service" : platform.maintenance.join(", ")}`,
            action: "pulumi config rm trivet:maintenance and pulumi up, when it is over",
          } as const,
        ]),
    ...(platform.edge.mode === "direct"
      ? [
          {
            area: "settings",
            id: "emergency",
            verdict: "fail",
            says: "Cloudflare is bypassed: visitors reach the servers themselves",
            action: "trivet emergency off, when it is over",
          } as const,
        ]
      : []),
    ...platform.edge.routes.map((route): Check => routeCheck(platform, routeUrl(platform, route))),
  ];
}

function routeCheck(platform: Platform, url: URL): Check {
  const { hops, arrives } = walk(platform, url);
  const last = hops.at(-1);
  const closed = last?.closed;
  if (arrives || closed === undefined)
    return { area: "routes", id: "route", verdict: "ok", says: `${url.href} arrives at ${last?.says ?? "?"}` };
  return {
    area: "routes",
    id: "route",
    // Somebody has set it, and knows.
    verdict: closed.path === "trivet:maintenance" ? "note" : "fail",
    says: `${url.href} ends at ${last?.place ?? "?"}: ${closed.reason}`,
    action: closed.action,
  };
}

/** Pure: for people, one line a check and what to do below it. */
export function renderDoctor({ stack, checks, seconds, offline }: DoctorReport, paint: Terminal["paint"]): string {
  const width = Math.max(...checks.map(({ id }) => id.length));
  const indent = " ".repeat(2 + 6 + width + 2);
  const line = ({ verdict, id, says, action }: Check): string[] => [
    `  ${paint(COLOURS[verdict], WORDS[verdict].padEnd(6))}${id.padEnd(width)}  ${says}`,
    ...(action === undefined ? [] : [`${indent}do: ${action}`]),
  ];
  const count = (verdict: Check["verdict"]): number => checks.filter((one) => one.verdict === verdict).length;
  const counts = [
    ...(count("fail") > 0 ? [`${count("fail")} failed`] : []),
    ...(count("unknown") > 0 ? [`${count("unknown")} cannot be told`] : []),
    `${count("ok")} passed`,
    ...(count("note") > 0 ? [`${count("note")} ${count("note") === 1 ? "note" : "notes"}`] : []),
  ];
  return [
    `stack ${stack}${offline ? ", offline" : ""}`,
    ...AREAS.flatMap((area) => {
      const own = checks.filter((one) => one.area === area);
      return own.length === 0 ? [] : ["", area, ...own.flatMap(line)];
    }),
    "",
    `${counts.join(", ")} in ${seconds.toFixed(1)} s`,
  ].join("\n");
}

const WORDS = { ok: "ok", note: "note", fail: "FAIL", unknown: "?" } as const;
const COLOURS = { ok: "green", note: "cyan", fail: "red", unknown: "yellow" } as const;
