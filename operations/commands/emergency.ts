import type { Platform, Tunnel } from "../../model/platform";
import { certificateProblems, directHosts } from "../../model/public-certificate";
import { report } from "../../model/resolve";
import { knownCertificate } from "../certificate-verdict";
import { carryOut, type Change, type Surroundings } from "../change";
import { type EdgeState, readEdgeState } from "../edge-state";
import { EXIT, Refusal } from "../refusal";
import { type Outputs, platformOf, type PlainSettings, settingsOf } from "../stack";

/** Resolvers keep a proxied answer that long (Cloudflare's automatic TTL), and nobody can shorten it. */
const PROXIED_TTL_SECONDS = 300;

/** `trivet emergency on`: visitors come to the servers themselves, past Cloudflare. */
export async function emergencyOn(surroundings: Surroundings): Promise<number> {
  const { stack, terminal } = surroundings;
  const [configuration, outputs, exported] = await Promise.all([
    stack.configuration(),
    stack.outputs(),
    stack.exported(),
  ]);
  const settings = settingsOf(configuration);
  const now = platformOf(stack.shortName, settings);
  // Refuses what the settings do not fit, before anything is asked.
  const then = platformOf(stack.shortName, inMode(settings, "direct"));
  const known = knownCertificate(configuration);
  const unfit = known === undefined ? [] : certificateProblems(then.edge, known, new Date());
  if (unfit.length > 0) throw new Refusal(report(unfit, stack.configFile));
  const change = bypass(now, then, readEdgeState(exported), outputs);
  const begin = performance.now();
  const code = await carryOut(surroundings, change);
  terminal.say(
    `\nCloudflare is bypassed after ${seconds(begin)} s. New visitors come directly at once; those whose resolver remembers the proxied ` +
      `answer within ${PROXIED_TTL_SECONDS / 60} minutes. Back: trivet emergency off.`,
  );
  return code;
}

/** `trivet emergency off`: names first, and the servers shut when nobody has their addresses any more. */
export async function emergencyOff(surroundings: Surroundings): Promise<number> {
  const { stack, terminal } = surroundings;
  const [settings, exported] = await Promise.all([stack.settings(), stack.exported()]);
  const change = comeBack(platformOf(stack.shortName, settings), readEdgeState(exported));
  const begin = performance.now();
  const code = await carryOut(surroundings, change);
  terminal.say(`\nBack behind Cloudflare after ${seconds(begin)} s.`);
  return code;
}

const seconds = (begin: number): number => Math.round((performance.now() - begin) / 1000);

const inMode = ({ values, secretNames }: PlainSettings, emergency: "direct" | "off"): PlainSettings => ({
  values: { ...values, emergency },
  secretNames,
});

/** Pure. `now` is what the settings say, `then` the same in the emergency. */
export function bypass(now: Platform, then: Platform, state: EdgeState, outputs: Outputs): Change {
  const begun = now.edge.mode === "direct";
  const led = usersRecords(then, state);
  if (begun && led.length > 0 && led.every(({ proxied }) => !proxied))
    throw new Refusal("Cloudflare is bypassed already. Back: trivet emergency off.", EXIT.usage);
  const hosts = directHosts(then.edge);
  const { nodeAddresses = {}, nodeAddressesIpv6 = {} } = outputs;
  const records = (
    [
      ["A", nodeAddresses],
      ["AAAA", nodeAddressesIpv6],
    ] as const
  ).flatMap(([type, of]) => {
    const addresses = then.cluster.servers.flatMap(({ name }) => of[name] ?? []);
    return addresses.length === 0 ? [] : [`${type}  ${addresses.join(", ")}`];
  });
  const adopted = (["users", "operators"] as const).filter((whose) => tunnelOf(then, whose)?.adopt !== undefined);
  return {
    plan: [
      begun
        ? "The emergency was begun and is not finished. Carrying on:"
        : "Visitors come to the servers themselves, past Cloudflare:",
      `  Traefik takes everybody on ${then.edge.direct.port} and 80, with all of its pods at once; the firewall is open for both;`,
      `  ${hosts.join(", ")}: not proxied, ${then.edge.direct.recordTtlSeconds} s;`,
      "  what Cloudflare did for the zone (cache, limits, managed rules, its wall against floods) is away as long as it lasts.",
      ...adopted.map(
        (whose) =>
          `  the tunnel for ${whose} is being taken over: pulumi up asks Cloudflare's API for its token before anything else. While it answers: trivet tunnel adopt ${whose} --finish beforehand;`,
      ),
      ...then.notices.filter(({ level }) => level === "warning").map(({ code, text }) => `  ${code}: ${text}`),
    ],
    settings: begun ? {} : { emergency: "direct" },
    question: "Bypass Cloudflare?",
    carryOn: [
      "trivet emergency on carries on.",
      "If Cloudflare's API is what fails: firewall and Traefik come first, and take visitors already. Names cannot be changed without it. Other name servers",
      "can be entered at the registrar (resolvers go on asking Cloudflare's for up to two days), which then have to say",
      ...hosts.flatMap((host) => records.map((record) => `  ${host}  ${record}`)),
      ...adopted.map(
        (whose) =>
          `If it stopped before the firewall, asking for the token of the tunnel for ${whose}: pulumi config rm --path trivet:adoptTunnels.${whose}, which ends the take-over, and trivet emergency on.`,
      ),
    ].join("\n"),
  };
}

/** Pure. */
export function comeBack(now: Platform, state: EdgeState): Change {
  const begun = now.edge.mode !== "direct";
  if (begun && !state.isOpenToEverybody && !usersRecords(now, state).some(({ proxied }) => !proxied))
    throw new Refusal(
      "There is no emergency: the settings and the records lead through Cloudflare, and the servers are shut. If a way back was interrupted after that, at Traefik: pulumi up carries on.",
      EXIT.usage,
    );
  return {
    plan: [
      begun ? "The way back was begun. Carrying on:" : "Visitors come by Cloudflare again:",
      `  first the names (${directHosts(now.edge).join(", ")}), while the servers are still open to everybody;`,
      `  when no resolver remembers the servers (it knows them for ${now.edge.direct.recordTtlSeconds} s) the firewall is shut;`,
      now.edge.kind === "proxied"
        ? "  then Traefik takes Cloudflare alone, one server after the other."
        : `  the Traefik on the servers ${now.edge.direct.prepared ? "stays, in waiting for the next one" : "goes then"}.`,
    ],
    settings: begun ? {} : { emergency: "off" },
    question: "Go back behind Cloudflare?",
    carryOn:
      "As long as a name could not be changed, the servers stay open, and visitors have what they had. trivet emergency off, or pulumi up, carries on.",
  };
}

const tunnelOf = ({ edge }: Platform, whose: "users" | "operators"): Tunnel | undefined =>
  whose === "operators" ? edge.operators?.tunnel : edge.kind === "tunnel" ? edge.tunnel : undefined;

const usersRecords = (platform: Platform, { records }: EdgeState): EdgeState["records"] => {
  const names = new Set(directHosts(platform.edge));
  return records.filter(({ name, type }) => names.has(name) && ADDRESSING.has(type));
};

/** Types of records that lead somewhere: beside them a name may have some that say who sends its mail. */
const ADDRESSING: ReadonlySet<string> = new Set(["A", "AAAA", "CNAME"]);
