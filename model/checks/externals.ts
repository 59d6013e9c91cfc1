import { parseAddress } from "../cidr";
import type { Problem } from "../problem";
import { pathOf, textOf } from "../settings";
import { type Check, externalsOf, isWholeNumber, suggest } from "./draft";

const HOST_NAME = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Hetzner drops these outbound, silently, on every server (facts: support answers 2023 to 2026). */
const BLOCKED_PORTS = [25, 465];

/** The networks that the policies' "internet" leaves out. */
const CLOSED_RANGES = new Set(["private", "loopback", "linkLocal", "carrierGradeNat", "uniqueLocal", "unspecified"]);

export const hostProblems = (host: string, path: string): Problem[] => {
  const address = parseAddress(host);
  if (address !== undefined)
    return CLOSED_RANGES.has(address.range())
      ? [
          {
            code: "EX004",
            path,
            got: host,
            reason: "workloads reach the internet, but no private address: that is what keeps them off the servers",
          },
        ]
      : [];
  if (HOST_NAME.test(host) && host.length <= 253) return [];
  const cleaned = host
    .toLowerCase()
    .replace(/^[a-z+]+:\/\//, "")
    .replace(/^[^@/]*@/, "")
    .replace(/[/:?].*$/, "");
  return [
    {
      code: "EX001",
      path,
      // What stands before an @ may be a password.
      ...(host.includes("@") ? {} : { got: host }),
      allowed: "a host name without scheme, port, user or path, such as db.example",
      ...suggest(HOST_NAME.test(cleaned) ? cleaned : undefined),
    },
  ];
};

export const checkExternals: Check = ({ definition, raw }) =>
  externalsOf(definition).flatMap(([name, { host, port }]): Problem[] => {
    const path = `externals.${name}`;
    const text = textOf(host, raw);
    const problems = text === undefined ? [] : hostProblems(text, pathOf(host, `${path}.host`));
    if (!isWholeNumber(port, 1, 65535))
      problems.push({ code: "EX003", path: `${path}.port`, got: port, allowed: "1 to 65535" });
    else if (BLOCKED_PORTS.includes(port))
      problems.push({
        code: "EX002",
        path: `${path}.port`,
        got: port,
        reason: `Hetzner drops outbound connections to port ${port} without an answer`,
        suggestion: "587",
        action: "mail providers take mail with STARTTLS on 587",
      });
    return problems;
  });
