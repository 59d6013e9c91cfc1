import { installationIn } from "../installation";
import type { Find, Finders } from "./left";

/** One a phase and zone, whoever made it. */
const find: Find = async ({ cloudflare }, inputs) => {
  const [zone, phase] = [String(inputs["zoneId"]), String(inputs["phase"])];
  const answer = await cloudflare.get<{
    result: { id: string; name: string; kind: string; phase: string; description?: string }[];
  }>(`/zones/${zone}/rulesets`);
  const ruleset = answer?.result.find((one) => one.kind === "zone" && one.phase === phase);
  return (
    ruleset && {
      title: `ruleset "${ruleset.name}" (id ${ruleset.id}) of the phase ${phase}`,
      mark: installationIn(ruleset.description),
      otherwise:
        "A zone has one a phase. Move its rules into edge.zone, then take it over: " +
        `pulumi import cloudflare:index/ruleset:Ruleset <name> zones/${zone}/${ruleset.id}; or delete it at Cloudflare`,
      remove: async () => {
        await cloudflare.send("DELETE", `/zones/${zone}/rulesets/${ruleset.id}`);
      },
    }
  );
};

export const RULESETS: Finders = { "cloudflare:index/ruleset:Ruleset": find };
