import { setTimeout as delay } from "node:timers/promises";
import type { Platform } from "../../model/platform";
import { certificateProblems, directHosts } from "../../model/public-certificate";
import { report } from "../../model/resolve";
import { knownCertificate } from "../certificate-verdict";
import { carryOut, type Change, type Surroundings } from "../change";
import { type EdgeState, readEdgeState } from "../edge-state";
import { EXIT, Refusal } from "../refusal";
import { type Outputs, platformOf, type PlainSettings, settingsOf } from "../stack";

/** Resolvers keep a proxied answer that long (Cloudflare's automatic TTL), and nobody can shorten it. */
const PROXIED_TTL_SECONDS = 300;
/** A resolver asks a while after Cloudflare's name servers know. */
const SPREAD_SECONDS = 30;

type Wait = (seconds: number) => Promise<void>;
const sleep: Wait = (seconds) => delay(seconds * 1000);

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
  // Refuses what this Trivet cannot do, and what the settings do not fit, before anything is asked.
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
export async function emergencyOff(surroundings: Surroundings, wait: Wait = sleep): Promise<number> {
  const { stack, terminal, more } = surroundings;
  const [settings, exported] = await Promise.all([stack.settings(), stack.exported()]);
  const state = readEdgeState(exported);
  const now = platformOf(stack.shortName, settings);
  const change = comeBack(now, state);
  const begin = performance.now();
  await carryOut(surroundings, change);
  const patience = now.edge.direct.recordTtlSeconds + SPREAD_SECONDS;
  if ((change.arguments ?? []).length > 0) {
    terminal.say(
      `\nNames lead to Cloudflare after ${seconds(begin)} s. Waiting ${patience} s for resolvers that remember the servers.`,
    );
    await wait(patience);
    terminal.say("\nShutting the servers for everybody else:");
    const code = await stack.pulumi.run(["up", "--yes", "--skip-preview", "--suppress-outputs", ...more]);
    if (code !== 0)
      throw new Refusal(
        "Visitors come by Cloudflare again, but the servers are still open to everybody. Do: pulumi up.",
        code === EXIT.interrupted ? EXIT.interrupted : EXIT.problems,
      );
  }
  terminal.say(`\nBack behind Cloudflare after ${seconds(begin)} s.`);
  return EXIT.well;
}

const seconds = (begin: number): number => Math.round((performance.now() - begin) / 1000);

const inMode = ({ values, secretNames }: PlainSettings, emergency: "direct" | "off"): PlainSettings => ({
  values: { ...values, emergency },
  secretNames,
});

/** Pure. `now` is what the settings say, `then` the same in the emergency. */
export function bypass(now: Platform, then: Platform, state: EdgeState, outputs: Outputs): Change {
  const begun = now.edge.mode === "direct";
  if (begun && isLedDirectly(then, state))
    throw new Refusal("Cloudflare is bypassed already. Back: trivet emergency off.");
  const hosts = directHosts(then.edge);
  const addresses = Object.values(outputs.nodeAddresses ?? {});
  return {
    plan: [
      begun
        ? "The emergency was begun and is not finished. Carrying on:"
        : "Visitors come to the servers themselves, past Cloudflare:",
      `  Traefik takes everybody on ${then.edge.direct.port} and 80, with all of its pods at once; the firewall is open for both;`,
      `  ${hosts.join(", ")}: not proxied, ${then.edge.direct.recordTtlSeconds} s;`,
      "  what Cloudflare did for the zone (cache, limits, managed rules, its wall against floods) is away as long as it lasts.",
      ...then.notices.filter(({ level }) => level === "warning").map(({ code, text }) => `  ${code}: ${text}`),
    ],
    settings: begun ? {} : { emergency: "direct" },
    question: "Bypass Cloudflare?",
    carryOn: [
      "trivet emergency on carries on.",
      "If Cloudflare's API is what fails: firewall and Traefik come first, and are open when only records failed. Whoever serves the zone can then say",
      ...hosts.map((host) => `  ${host}  A  ${addresses.join(", ")}`),
    ].join("\n"),
  };
}

/** Pure. Records alone at first, and not those that others still lead to. */
export function comeBack(now: Platform, state: EdgeState): Change {
  const direct = isLedDirectly(now, state);
  if (now.edge.mode !== "direct" && !direct)
    throw new Refusal("There is no emergency: the settings and the records lead through Cloudflare.", EXIT.usage);
  const names = new Set(directHosts(now.edge));
  const targets = state.records.filter(({ name }) => names.has(name)).map(({ urn }) => urn);
  return {
    plan: [
      now.edge.mode === "direct" ? "Visitors come by Cloudflare again:" : "The way back was begun. Carrying on:",
      `  first the names (${[...names].join(", ")}), while the servers are still open to everybody;`,
      `  then, ${now.edge.direct.recordTtlSeconds + SPREAD_SECONDS} s later, the firewall is shut and Traefik takes Cloudflare alone, one by one: no request is lost.`,
      "  A plain pulumi up does both at once, and loses those whose resolver remembers the servers.",
    ],
    settings: now.edge.mode === "direct" ? { emergency: "off" } : {},
    arguments: direct ? targets.flatMap((urn) => ["--target", urn]) : [],
    question: "Go back behind Cloudflare?",
    carryOn: "trivet emergency off carries on.",
  };
}

const isLedDirectly = (platform: Platform, { records }: EdgeState): boolean => {
  const names = new Set(directHosts(platform.edge));
  return records.some(({ name, proxied }) => names.has(name) && !proxied);
};
