import { z } from "zod";
import type { Platform, Tunnel } from "../../model/platform";
import { carryOut, type Change, type Surroundings } from "../change";
import type { Cloudflare, Told } from "../cloud";
import { cloudsOf } from "../cloud-access";
import { type EdgeState, readEdgeState } from "../edge-state";
import { EXIT, Refusal } from "../refusal";
import { platformOf, settingsOf } from "../stack";

const WHOSE = ["users", "operators"] as const;
export type Whose = (typeof WHOSE)[number];

export interface AdoptOptions {
  readonly finish?: boolean;
}

/** `trivet tunnel rotate <whose>`: another secret for a tunnel; what runs keeps its connections. */
export async function rotate(surroundings: Surroundings, whose: string): Promise<number> {
  const { stack } = surroundings;
  const [platform, exported] = await Promise.all([stack.platform(), stack.exported()]);
  return carryOut(surroundings, rotation(platform, readEdgeState(exported), whoseOf(whose)));
}

/** `trivet tunnel adopt <whose> <id>`: one that was made by hand becomes ours, in two steps. */
export async function adopt(
  surroundings: Surroundings,
  whose: string,
  id: string | undefined,
  { finish }: AdoptOptions,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const { stack } = surroundings;
  const [configuration, exported] = await Promise.all([stack.configuration(), stack.exported()]);
  const platform = platformOf(stack.shortName, settingsOf(configuration));
  const one = whoseOf(whose);
  const state = readEdgeState(exported);
  if (finish === true) return carryOut(surroundings, adoptionEnd(platform, state, one));
  const wanted = idOf(id);
  const { cloudflare } = cloudsOf(configuration, environment);
  if (cloudflare === undefined)
    throw new Refusal("The stack has no token of Cloudflare. Do: pulumi config set --secret cloudflare:apiToken");
  return carryOut(surroundings, adoption(platform, state, one, wanted, await lookedUp(platform, cloudflare, wanted)));
}

/** What Cloudflare says of a tunnel, as far as adoption asks. */
export interface FoundTunnel {
  readonly name: string;
  readonly deleted_at: string | null;
  readonly connections?: readonly unknown[];
}

const lookedUp = ({ edge: { zone } }: Platform, cloudflare: Cloudflare, id: string): Promise<Told<FoundTunnel>> =>
  cloudflare.get<FoundTunnel>(`/accounts/${zone.accountId}/cfd_tunnel/${id}`);

/** Pure. A rotation that was interrupted is carried on: the secret is not changed a second time. */
export function rotation(platform: Platform, state: EdgeState, whose: Whose): Change {
  const tunnel = tunnelOf(platform, whose);
  if (tunnel.adopt !== undefined)
    throw new Refusal(
      `The tunnel ${tunnel.name} is being taken over, and keeps its own secret until then. Do: trivet tunnel adopt ${whose} --finish, which gives it a new one.`,
    );
  const applied = stateOf(platform, state, whose);
  if (applied === undefined)
    throw new Refusal(`The tunnel ${tunnel.name} does not exist yet. Do: pulumi up.`, EXIT.usage);
  const carriedOn = tunnel.revision > applied.revision;
  const revision = carriedOn ? tunnel.revision : tunnel.revision + 1;
  return {
    plan: [
      carriedOn
        ? `The rotation of the tunnel ${tunnel.name} to revision ${revision} was begun and is not finished. Carrying on.`
        : `The tunnel ${tunnel.name} gets a new secret, as revision ${revision}:`,
      "  its id and its rules stay, no record changes;",
      restarts(platform, whose),
      "  whoever else has the old token can open no new connection; those that he has, the tunnel's page at Cloudflare ends.",
    ],
    settings: carriedOn ? {} : { [`tunnelRevisions.${whose}`]: revision },
    question: `Give the tunnel ${tunnel.name} a new secret?`,
    carryOn: `trivet tunnel rotate ${whose} carries on with revision ${revision}.`,
  };
}

/** Pure. */
export function adoption(
  platform: Platform,
  state: EdgeState,
  whose: Whose,
  id: string,
  answer: Told<FoundTunnel>,
): Change {
  const tunnel = tunnelOf(platform, whose);
  const applied = stateOf(platform, state, whose);
  if (applied !== undefined && applied.id !== id)
    throw new Refusal(
      `The stack has a tunnel for its ${whose} already, ${applied.name} (${applied.id}). Nothing was changed.`,
    );
  if (applied?.id === id && tunnel.adopt === undefined)
    throw new Refusal(`The tunnel ${applied.name} (${id}) is the stack's own already.`, EXIT.usage);
  if (!answer.told)
    throw new Refusal(
      answer.status === 404
        ? `There is no tunnel ${id} in the account ${platform.edge.zone.accountId}. Do: look at its page at Cloudflare.`
        : `Cloudflare cannot be asked about the tunnel ${id}: ${answer.reason}`,
      answer.status === 404 ? EXIT.problems : EXIT.usage,
    );
  const { name, deleted_at: deletedAt, connections = [] } = answer.value;
  if (deletedAt !== null) throw new Refusal(`The tunnel ${name} (${id}) was deleted on ${deletedAt}.`);
  const carriedOn = tunnel.adopt === id;
  return {
    plan: [
      carriedOn
        ? `The takeover of the tunnel ${name} (${id}) was begun. Carrying on.`
        : `The tunnel ${name} (${id}) becomes the stack's, for its ${whose}:`,
      `  it keeps its name and its secret for now, so whatever runs with its token (${connections.length} connections) runs on;`,
      `  its rules become the platform's, at once and for those connections, too;`,
      `  connectors in the cluster join with the same token, and names lead to it.`,
      `When nothing else runs with its token any more: trivet tunnel adopt ${whose} --finish`,
    ],
    settings: carriedOn ? {} : { [`adoptTunnels.${whose}`]: id },
    question: `Take the tunnel ${name} over?`,
    carryOn: `trivet tunnel adopt ${whose} ${id} carries on.`,
  };
}

/** Pure. The second step: it gets the platform's name, and a secret that only the state knows. */
export function adoptionEnd(platform: Platform, state: EdgeState, whose: Whose): Change {
  const tunnel = tunnelOf(platform, whose);
  const applied = stateOf(platform, state, whose);
  if (tunnel.adopt === undefined || applied?.id !== tunnel.adopt)
    throw new Refusal(
      tunnel.adopt === undefined
        ? `No tunnel is being taken over for the ${whose}. Do: trivet tunnel adopt ${whose} <id>.`
        : `The tunnel ${tunnel.adopt} is not in the stack yet. Do: trivet tunnel adopt ${whose} ${tunnel.adopt}, which carries on.`,
      EXIT.usage,
    );
  return {
    plan: [
      `The tunnel ${applied.name} (${applied.id}) gets the name ${tunnel.name} and a new secret:`,
      restarts(platform, whose),
      "  what still runs elsewhere with the old one keeps its connections until it is restarted, and can then open none.",
    ],
    settings: {},
    without: `adoptTunnels.${whose}`,
    question: "Finish the takeover?",
    carryOn: "pulumi up carries on.",
  };
}

/** A static pod can use no Secret: its token is in the server's user-data, so another one is another definition of the server. */
const restarts = ({ edge }: Platform, whose: Whose): string =>
  whose === "operators" && edge.operators?.connector === "staticPod"
    ? "  its connectors run on the servers themselves and get the token by user-data: every server is made anew, one at a time;"
    : "  connectors that run keep their connections, and are restarted one by one with the new token;";

function whoseOf(text: string): Whose {
  const found = WHOSE.find((one) => one === text);
  if (found !== undefined) return found;
  throw new Refusal(`Whose tunnel? "${text}" is neither of: ${WHOSE.join(", ")}.`, EXIT.usage);
}

function idOf(text: string | undefined): string {
  const parsed = z.uuid().safeParse(text?.toLowerCase());
  if (parsed.success) return parsed.data;
  throw new Refusal(
    text === undefined
      ? "Which tunnel? Name its id, from its page at Cloudflare; or --finish."
      : `"${text}" is no tunnel's id. Do: take the UUID from its page at Cloudflare.`,
    EXIT.usage,
  );
}

function tunnelOf({ edge }: Platform, whose: Whose): Tunnel {
  const tunnel = whose === "operators" ? edge.operators?.tunnel : edge.kind === "tunnel" ? edge.tunnel : undefined;
  if (tunnel !== undefined) return tunnel;
  throw new Refusal(
    whose === "users"
      ? `The users come by proxied records (edge.kind is "${edge.kind}"): there is no tunnel of theirs.`
      : "Nothing is guarded by Cloudflare Access (edge.operators, guard): there is no tunnel of the operators.",
    EXIT.usage,
  );
}

const stateOf = ({ name }: Platform, { tunnels }: EdgeState, whose: Whose): EdgeState["tunnels"][number] | undefined =>
  tunnels.find(({ resource }) => resource === (whose === "users" ? `${name}-tunnel` : `${name}-operators-tunnel`));
