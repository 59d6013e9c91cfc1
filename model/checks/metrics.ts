import type { Problem } from "../problem";
import { pathOf, textOf } from "../settings";
import { type Check, isWholeNumber, workloadsOf } from "./draft";
import { hostProblems } from "./externals";

export const checkMetrics: Check = ({ definition, raw }) => {
  const { metrics } = definition;
  if (metrics === undefined) return [];
  const problems: Problem[] = [];
  const text = textOf(metrics.remoteWrite, raw);
  if (text !== undefined) {
    const path = pathOf(metrics.remoteWrite, "metrics.remoteWrite");
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || url.protocol !== "https:" || url.pathname === "/" || url.hash !== "")
      problems.push({
        code: "MT001",
        path,
        got: url === undefined || url.password === "" ? text : undefined,
        allowed: "an https URL with a path, such as https://obs.example/api/v1/write",
        ...(url?.protocol === "http:" ? { reason: "the bearer token would cross the internet in clear" } : {}),
      });
    else if (url.username !== "" || url.password !== "")
      problems.push({
        code: "MT001",
        path,
        reason: "the URL holds a login, which would stand in plain text",
        action: "take it out; metrics.token is sent as bearer token",
      });
    else problems.push(...hostProblems(url.hostname.replace(/^\[|\]$/g, ""), path));
  }
  const { scrapeIntervalSeconds = 15 } = metrics;
  if (!isWholeNumber(scrapeIntervalSeconds, 5, 300))
    problems.push({
      code: "MT002",
      path: "metrics.scrapeIntervalSeconds",
      got: scrapeIntervalSeconds,
      allowed: "5 to 300 seconds",
    });
  if (!workloadsOf(definition).some(([, workload]) => workload.metrics !== undefined))
    problems.push({
      code: "MT003",
      path: "metrics",
      reason: "no workload has a metrics path",
      action: 'name one, e.g. services.<name>.metrics: "/metrics", or take metrics away',
    });
  return problems;
};
