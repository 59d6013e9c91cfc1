import type { Tailnet } from "../model/platform";
import type { SeenDevice, TailnetView } from "../model/tailnet";
import type { Check } from "./doctor";

const DAY_MILLISECONDS = 86_400_000;
/** A tailnet forgets an ephemeral device that is gone within two days. */
const FORGOTTEN_DAYS = 2;
/** Of a key that ends: time to see it before it does. */
const LEAST_DAYS = 14;

export interface TailnetSeen {
  readonly now: Date;
  /** Over which the Kubernetes API is reached. */
  readonly tailnet: Tailnet;
  /** What this computer's Tailscale says. */
  readonly view: TailnetView;
  /** The secret that lets servers in, where it is set. */
  readonly authKey: string | undefined;
}

type Finding = Omit<Check, "area">;

/** Pure: judges the operators' way over Tailscale. */
export function tailnetChecks({ now, tailnet, view, authKey }: TailnetSeen): readonly Check[] {
  const findings = [
    ...keyFindings(tailnet, authKey),
    ...(view.problem === undefined
      ? [ownFinding(tailnet, view, now), ...deviceFindings(tailnet, view, now)]
      : [outside(view.problem)]),
  ];
  return findings.map((finding) => ({ area: "tailnet", ...finding }));
}

/** Of the servers nothing is known then, and they may be well. */
function outside(problem: string): Finding {
  const [says = "", action] = problem.split(". Do: ", 2);
  return { id: "tailscale", verdict: "unknown", says, ...(action === undefined ? {} : { action }) };
}

function keyFindings({ authKey: name }: Tailnet, authKey: string | undefined): Finding[] {
  const set = `pulumi config set --secret ${name}`;
  const found = (verdict: Check["verdict"], says: string, action?: string): Finding[] => [
    { id: "auth-key", verdict, says: `trivet:${name} ${says}`, ...(action === undefined ? {} : { action }) },
  ];
  const key = authKey?.trim() ?? "";
  if (key.startsWith("tskey-client-")) return found("ok", "is an OAuth client's secret, which does not end");
  if (key.startsWith("tskey-auth-"))
    return found(
      "note",
      "is an auth key, which ends 90 days after it was made at the latest, and does not say when: a server that is made anew after that does not come back",
      `${set} to an OAuth client's secret, which does not end`,
    );
  return found(
    "fail",
    key === ""
      ? "is not set: no server gets in"
      : "is neither an OAuth client's secret (tskey-client-…) nor an auth key (tskey-auth-…): no server gets in with it",
    set,
  );
}

const ownFinding = ({ name }: Tailnet, { ownKeyEnds }: TailnetView, now: Date): Finding => {
  const says = `this computer is in the tailnet ${name}`;
  if (ownKeyEnds === undefined || daysTo(ownKeyEnds, now) >= LEAST_DAYS)
    return { id: "tailscale", verdict: "ok", says };
  return {
    id: "tailscale",
    verdict: "note",
    says: `${says}; its key ends on ${day(ownKeyEnds)}`,
    action: "tailscale up --force-reauth",
  };
};

const deviceFindings = (tailnet: Tailnet, { devices }: TailnetView, now: Date): Finding[] =>
  tailnet.devices.flatMap(({ node, hostname }) => {
    const [current, ...others] = devices?.get(node) ?? [];
    if (current === undefined)
      return [
        {
          id: "device",
          verdict: "fail",
          says: `no device of the tailnet has the host name ${hostname} and ${tailnet.tag}`,
          action: `its console at Hetzner says why (lines of "tailnet"); a key that has ended: pulumi config set --secret ${tailnet.authKey}, then trivet replace ${node}`,
        },
      ];
    return [
      currentFinding(hostname, current, others, now),
      ...keyEndFindings(current, now),
      ...staleFindings(others, now),
    ];
  });

function currentFinding(hostname: string, current: SeenDevice, others: readonly SeenDevice[], now: Date): Finding {
  const twin = others.find(({ isOnline }) => isOnline);
  if (twin !== undefined)
    return {
      id: "device",
      verdict: "fail",
      says: `${hostname} is in the tailnet twice, as ${current.fqdn} and ${twin.fqdn}: which is the server?`,
      action: "compare with the server's console at Hetzner, and remove the other device in Tailscale's admin console",
    };
  if (!current.isOnline)
    return {
      id: "device",
      verdict: "fail",
      says: `${hostname} (${current.fqdn}) is not connected${current.lastSeen === undefined ? "" : `, last seen ${ago(current.lastSeen, now)}`}`,
      action: "trivet status; the server's console at Hetzner",
    };
  return {
    id: "device",
    verdict: "ok",
    says: `${hostname} is connected, as ${current.fqdn} (${current.address ?? "no address"})`,
  };
}

/** Of a device with a tag it does not, unless somebody wants it to. */
const keyEndFindings = ({ fqdn, keyEnds }: SeenDevice, now: Date): Finding[] =>
  keyEnds === undefined
    ? []
    : [
        {
          id: "device-key",
          verdict: daysTo(keyEnds, now) < LEAST_DAYS ? "fail" : "note",
          says: `the key of ${fqdn} ends on ${day(keyEnds)}: the server leaves the tailnet then`,
          action: "disable its key's expiry in Tailscale's admin console (Machines)",
        },
      ];

const staleFindings = (others: readonly SeenDevice[], now: Date): Finding[] =>
  others
    .filter(({ isOnline, lastSeen }) => !isOnline && lastSeen !== undefined && -daysTo(lastSeen, now) > FORGOTTEN_DAYS)
    .map(({ fqdn, lastSeen }) => ({
      id: "stale-device",
      verdict: "note",
      says: `${fqdn}, a device of before, was last seen ${ago(lastSeen!, now)}: it is not ephemeral, or the tailnet had forgotten it`,
      action: "remove it in Tailscale's admin console (Machines); let servers in with an ephemeral key",
    }));

const daysTo = (at: Date, now: Date): number => (at.getTime() - now.getTime()) / DAY_MILLISECONDS;

const ago = (at: Date, now: Date): string => {
  const days = Math.floor(-daysTo(at, now));
  return days < 1 ? "today" : `${days} ${days === 1 ? "day" : "days"} ago`;
};

const day = (at: Date): string => at.toISOString().slice(0, 10);
