import * as pulumi from "@pulumi/pulumi";
import { type CloudApi } from "./cloud-api";
import { outputValue } from "./output-value";

/**
 * When a create reaches the cloud but its answer is lost, the object exists and the state does not know it. Names are unique at
 * Hetzner, so the next `pulumi up` would be refused with uniqueness_error, for ever, until somebody cleans up by hand.
 *
 * The hook here looks for that object after a failed create, removes it, and has the engine create it again. It touches
 * only what carries this platform's mark (a random value that lives in the state), that nothing uses, and, for servers, that is
 * younger than an hour: with a state that was restored from an old copy, a living server would look just the same.
 */
export interface LostAnswersArgs {
  hetzner: pulumi.Input<CloudApi>;
  cloudflare: pulumi.Input<CloudApi>;
  /** The mark: written as the label `installation` at Hetzner and as a comment at Cloudflare. */
  installation: pulumi.Input<string>;
}

export const INSTALLATION_LABEL = "installation";

/** Comment of every DNS record of this platform. */
export const recordComment = (installation: string): string => `trivet ${installation}`;

/** A server that is older than this is never removed by itself; people decide. */
const YOUNG_SERVER_MILLISECONDS = 60 * 60 * 1000;

/** How often one resource's create is tried again; the connection may be lost more than once. */
const RETRIES = 2;

const DELETE_POLL_MILLISECONDS = 500;
const DELETE_DEADLINE_MILLISECONDS = 60_000;

interface Left {
  /** For messages: "server honeydue-a (id 42)". */
  title: string;
  mark: string | undefined;
  /** Why it is not removed by itself, or undefined. */
  inUse?: string | undefined;
  /** What to do where it is another's. @default rename the platform, or import it */
  otherwise?: string;
  remove(): Promise<void>;
}

interface Clouds {
  hetzner: CloudApi;
  cloudflare: CloudApi;
}

/** `mine` is the platform's mark, for what cannot carry it but is known to be ours by something that only this state has. */
type Find = (clouds: Clouds, inputs: Record<string, unknown>, mine: string) => Promise<Left | undefined>;

/** Why it is not removed by itself; undefined where it is. */
function reasonToLeave({ title, mark, inUse, otherwise }: Left, type: string, mine: string) {
  if (mark !== mine)
    return `${title} exists already and is not of this stack. ${otherwise ?? `Rename the platform, or take it into the state: pulumi import ${type}`}`;
  if (inUse !== undefined)
    return (
      `${title} carries this platform's mark but is not in the state, and ${inUse}. ` +
      "If the state was restored from an older copy, import it; if an interrupted run made it, delete it at the provider."
    );
  return undefined;
}

/** Options for resources whose create may leave something behind. Both belong together: see `deleteBeforeReplace` below. */
export interface LostAnswerOptions {
  /** Without it a replacement would be created beside its predecessor, and the hook could not tell the two apart. */
  deleteBeforeReplace: true;
  hooks: pulumi.ResourceHookBinding;
}

/** Makes the options that every cloud resource with a unique name gets. */
export function lostAnswerOptions({ hetzner, cloudflare, installation }: LostAnswersArgs): LostAnswerOptions {
  const needed = pulumi.output({ installation }).installation;
  const clouds = pulumi.all([hetzner, cloudflare]);
  const retries = new Map<string, number>();
  const moved = new Map<string, MovedRecord[]>();
  const clearedUp = async (failure: pulumi.ErrorHookArgs): Promise<boolean> => {
    const { urn, type, newInputs, failedOperation, errors } = failure;
    const find = FINDERS[type];
    if (failedOperation === "delete" && type === TUNNEL) {
      const count = (retries.get(urn) ?? 0) + 1;
      retries.set(urn, count);
      if (count > RETRIES) return false;
      const [, cloudflareApi] = await outputValue(clouds);
      return disconnect(cloudflareApi, failure);
    }
    if (failedOperation !== "create" || !find || !newInputs) return false;
    const count = (retries.get(urn) ?? 0) + 1;
    retries.set(urn, count);
    if (count > RETRIES) return false;
    const [[hetznerApi, cloudflareApi], mark] = await Promise.all([outputValue(clouds), outputValue(needed)]);
    let left: Left | undefined;
    try {
      left = await find({ hetzner: hetznerApi, cloudflare: cloudflareApi }, newInputs, mark);
      if (!left) return false;
      const reason = reasonToLeave(left, type, mark);
      if (reason !== undefined) {
        void pulumi.log.error(reason);
        return false;
      }
      sayRemoved(left);
      await left.remove();
      return true;
    } catch (error) {
      // The create's own error is the one that counts; the engine prints it.
      void pulumi.log.debug(`looking for what a lost answer left: ${String(error)} (after: ${errors[0]})`);
      return false;
    }
  };
  const hook = new pulumi.ErrorHook("trivet-lost-answer", async (failure) => {
    const again = await clearedUp(failure);
    if (!again) {
      const [, cloudflareApi] = await outputValue(clouds);
      await moveBack(cloudflareApi, moved.get(failure.urn) ?? []);
      moved.delete(failure.urn);
    }
    return again;
  });
  const beforehand = new pulumi.ResourceHook("trivet-taken-name", async ({ urn, type, newInputs }) => {
    if (type === DNS_RECORD && newInputs) {
      const [[, cloudflareApi], mark] = await Promise.all([outputValue(clouds), outputValue(needed)]);
      moved.set(urn, await makeRoom(cloudflareApi, newInputs, mark));
      return;
    }
    const find = TOLD_LATE.has(type) ? FINDERS[type] : undefined;
    if (!find || !newInputs) return;
    const [[hetznerApi, cloudflareApi], mark] = await Promise.all([outputValue(clouds), outputValue(needed)]);
    let left: Left | undefined;
    try {
      left = await find({ hetzner: hetznerApi, cloudflare: cloudflareApi }, newInputs, mark);
    } catch (error) {
      void pulumi.log.debug(`looking for what has the name already: ${String(error)}`);
    }
    if (!left) return;
    const reason = reasonToLeave(left, type, mark);
    if (reason !== undefined) throw new Error(reason);
    sayRemoved(left);
    await left.remove();
  });
  return { deleteBeforeReplace: true, hooks: { beforeCreate: [beforehand], onError: [hook] } };
}

const sayRemoved = ({ title }: Left): void =>
  void pulumi.log.info(`${title} was made by a run that lost its answer; it is removed and made again`);

interface HetznerObject {
  id: number;
  name: string;
  labels: Record<string, string>;
  created: string;
  servers?: number[];
  applied_to?: unknown[];
  assignee_id?: number | null;
}

/** Finds the object with the name that was asked for. */
const namedObject =
  (collection: string, noun: string, inUse: (object: HetznerObject) => string | undefined): Find =>
  async ({ hetzner }, inputs) => {
    const name = String(inputs["name"]);
    const answer = await hetzner.get<Record<string, HetznerObject[]>>(
      `/${collection}?name=${encodeURIComponent(name)}`,
    );
    const object = answer?.[collection]?.[0];
    return (
      object && {
        title: `${noun} ${object.name} (id ${object.id})`,
        mark: object.labels[INSTALLATION_LABEL],
        inUse: inUse(object),
        remove: () => removeAndWait(hetzner, `/${collection}/${object.id}`),
      }
    );
  };

const DNS_RECORD = "cloudflare:index/dnsRecord:DnsRecord";
const TUNNEL = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared";

/**
 * For these a taken name is a 409, which Cloudflare's provider takes for a collision that passes: it tries again for three minutes
 * before it tells. So what has the name is looked for beforehand, too.
 */
const TOLD_LATE: ReadonlySet<string> = new Set([
  TUNNEL,
  "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication",
  "cloudflare:index/pagesProject:PagesProject",
  "cloudflare:index/pagesDomain:PagesDomain",
]);

/** A value that the hook may have got as a secret. */
const plain = (value: unknown): Promise<unknown> => outputValue(pulumi.output(value));

/** The secret in a connector's token (see `tokenOf` in edge/tunnel.ts). */
function secretOf(token: string | undefined): string | undefined {
  if (token === undefined) return undefined;
  try {
    return (JSON.parse(Buffer.from(token, "base64").toString()) as { s?: string }).s;
  } catch {
    return undefined;
  }
}

/**
 * Cloudflare deletes no tunnel that has connections, and keeps those of a connector that was killed for a while. What is left of them is
 * dropped, and the delete tried again. (A plain `pulumi destroy` runs no program, and so not this: it takes the connectors away before,
 * and a second one succeeds.)
 */
async function disconnect(cloudflare: CloudApi, { id, oldInputs }: pulumi.ErrorHookArgs): Promise<boolean> {
  const account = String(await plain(oldInputs?.["accountId"]));
  try {
    await cloudflare.send("DELETE", `/accounts/${account}/cfd_tunnel/${id}/connections`);
    return true;
  } catch (error) {
    void pulumi.log.debug(`dropping the connections of tunnel ${id}: ${String(error)}`);
    return false;
  }
}

interface ZoneRecord {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content: string;
  readonly comment?: string | null;
}

/** One that makes room for its successor, and the name that it had. */
interface MovedRecord {
  readonly path: string;
  readonly name: string;
}

const recordsOf = (inputs: Record<string, unknown>): string => `/zones/${String(inputs["zoneId"])}/dns_records`;

const recordsAt = async (cloudflare: CloudApi, inputs: Record<string, unknown>): Promise<readonly ZoneRecord[]> => {
  const query = new URLSearchParams({ name: String(inputs["name"]), per_page: "100" });
  return (await cloudflare.get<{ result: ZoneRecord[] }>(`${recordsOf(inputs)}?${query.toString()}`))?.result ?? [];
};

const markOf = ({ comment }: ZoneRecord): string | undefined => comment?.replace(/^trivet /, "");

const ADDRESSING: ReadonlySet<string> = new Set(["A", "AAAA", "CNAME"]);

/**
 * A name has one CNAME or addresses, never both, and the engine makes what is new before it deletes what is old. So where a name goes from
 * the one to the other (a guard, another kind of edge, a site's host) what has it makes room: it gets a name where nobody asks, and keeps
 * its id, by which the engine deletes it at the end of the run. For about a second nothing has the name.
 */
async function makeRoom(cloudflare: CloudApi, inputs: Record<string, unknown>, mine: string): Promise<MovedRecord[]> {
  const [name, type] = [String(inputs["name"]), String(inputs["type"])];
  if (!ADDRESSING.has(type)) return [];
  let there: readonly ZoneRecord[];
  try {
    there = await recordsAt(cloudflare, inputs);
  } catch (error) {
    void pulumi.log.debug(`looking for what has the name ${name} already: ${String(error)}`);
    return [];
  }
  const inTheWay = there.filter((one) =>
    // The very same one is what a lost answer left: that is cleared up when the create is refused.
    type === "CNAME" ? ADDRESSING.has(one.type) && one.content !== inputs["content"] : one.type === "CNAME",
  );
  const others = inTheWay.filter((one) => markOf(one) !== mine);
  if (others.length > 0)
    throw new Error(
      `${name} has ${others.map((one) => `${one.type} ${one.content}`).join(", ")}, which is not of this stack, and a name has either one CNAME or addresses. ` +
        "Delete it at Cloudflare, or name the host otherwise",
    );
  const moved: MovedRecord[] = [];
  for (const { id } of inTheWay) {
    const path = `${recordsOf(inputs)}/${id}`;
    await cloudflare.send("PATCH", path, { name: `trivet-leaving-${id.slice(0, 8)}.${name.replace(/^\*\./, "")}` });
    moved.push({ path, name });
  }
  return moved;
}

/** Nobody has taken their place. */
async function moveBack(cloudflare: CloudApi, moved: readonly MovedRecord[]): Promise<void> {
  for (const { path, name } of moved)
    try {
      await cloudflare.send("PATCH", path, { name });
    } catch (error) {
      void pulumi.log.error(
        `${name} has no record now, for its own could not get it back (${String(error)}). Do: pulumi refresh, pulumi up`,
      );
    }
}

const FINDERS: Readonly<Record<string, Find>> = {
  "hcloud:index/network:Network": namedObject("networks", "network", ({ servers = [] }) =>
    servers.length > 0 ? `${servers.length} servers are attached to it` : undefined,
  ),
  "hcloud:index/firewall:Firewall": namedObject("firewalls", "firewall", ({ applied_to = [] }) =>
    applied_to.length > 0 ? `it protects ${applied_to.length} servers` : undefined,
  ),
  "hcloud:index/placementGroup:PlacementGroup": namedObject(
    "placement_groups",
    "placement group",
    ({ servers = [] }) => (servers.length > 0 ? `${servers.length} servers are in it` : undefined),
  ),
  "hcloud:index/primaryIp:PrimaryIp": namedObject("primary_ips", "primary IP", ({ assignee_id }) =>
    assignee_id ? "it is assigned to a server" : undefined,
  ),
  "hcloud:index/server:Server": namedObject("servers", "server", ({ created }) =>
    Date.now() - Date.parse(created) > YOUNG_SERVER_MILLISECONDS ? `it has existed since ${created}` : undefined,
  ),
  "hcloud:index/networkSubnet:NetworkSubnet": async ({ hetzner }, inputs) => {
    const id = Number(inputs["networkId"]);
    const range = String(inputs["ipRange"]);
    const answer = await hetzner.get<{ network: HetznerObject & { subnets: { ip_range: string }[] } }>(
      `/networks/${id}`,
    );
    const network = answer?.network;
    if (!network?.subnets.some(({ ip_range }) => ip_range === range)) return undefined;
    const { servers = [] } = network;
    return {
      title: `subnet ${range} of network ${network.name}`,
      mark: network.labels[INSTALLATION_LABEL],
      inUse: servers.length > 0 ? `${servers.length} servers are attached to its network` : undefined,
      remove: async () => {
        await hetzner.send("POST", `/networks/${id}/actions/delete_subnet`, { ip_range: range });
        await until(async () => {
          const now = await hetzner.get<{ network: { subnets: { ip_range: string }[] } }>(`/networks/${id}`);
          return !now?.network.subnets.some(({ ip_range }) => ip_range === range);
        });
      },
    };
  },
  [DNS_RECORD]: async ({ cloudflare }, inputs) => {
    const record = (await recordsAt(cloudflare, inputs)).find(
      ({ type, content }) => type === inputs["type"] && content === inputs["content"],
    );
    return (
      record && {
        title: `DNS record ${String(inputs["name"])} ${record.type} ${record.content}`,
        mark: markOf(record),
        remove: async () => {
          await cloudflare.send("DELETE", `${recordsOf(inputs)}/${record.id}`);
        },
      }
    );
  },
  [TUNNEL]: async ({ cloudflare }, inputs, mine) => {
    const [account, name] = [String(inputs["accountId"]), String(inputs["name"])];
    const collection = `/accounts/${account}/cfd_tunnel`;
    const query = new URLSearchParams({ name, is_deleted: "false" });
    const answer = await cloudflare.get<{ result: { id: string; connections?: unknown[] }[] }>(
      `${collection}?${query.toString()}`,
    );
    const tunnel = answer?.result[0];
    if (tunnel === undefined) return undefined;
    const token = await cloudflare.get<{ result: string }>(`${collection}/${tunnel.id}/token`);
    const which = name.endsWith("-operators") ? "operators" : "users";
    return {
      title: `tunnel ${name} (id ${tunnel.id})`,
      // It has no field for a mark, but the secret that this run has drawn, and that nobody else has.
      mark: secretOf(token?.result) === (await plain(inputs["tunnelSecret"])) ? mine : undefined,
      inUse: (tunnel.connections ?? []).length > 0 ? "connectors are connected to it" : undefined,
      otherwise: `Take it over: pulumi config set --path trivet:adoptTunnels.${which} ${tunnel.id}; or delete it at Cloudflare`,
      remove: async () => {
        await cloudflare.send("DELETE", `${collection}/${tunnel.id}`);
      },
    };
  },
  // One a hostname. Ours has our policies, whose ids are in this stack's state alone.
  "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication": async ({ cloudflare }, inputs, mine) => {
    const collection = `/accounts/${String(inputs["accountId"])}/access/apps`;
    const domain = String(inputs["domain"]);
    const answer = await cloudflare.get<{ result: { id: string; domain?: string; policies?: { id: string }[] }[] }>(
      `${collection}?per_page=1000`,
    );
    const application = answer?.result.find((one) => one.domain === domain);
    if (application === undefined) return undefined;
    const policies = ((inputs["policies"] ?? []) as { id: string }[]).map(({ id }) => id);
    const itsPolicies = (application.policies ?? []).map(({ id }) => id);
    return {
      title: `Access application for ${domain} (id ${application.id})`,
      mark: policies.length > 0 && policies.every((id) => itsPolicies.includes(id)) ? mine : undefined,
      otherwise: "Delete it at Cloudflare (Zero Trust, Access, Applications), or give the host another name",
      remove: async () => {
        await cloudflare.send("DELETE", `${collection}/${application.id}`);
      },
    };
  },
  // One a phase and zone, whoever made it.
  "cloudflare:index/ruleset:Ruleset": async ({ cloudflare }, inputs) => {
    const [zone, phase] = [String(inputs["zoneId"]), String(inputs["phase"])];
    const answer = await cloudflare.get<{
      result: { id: string; name: string; kind: string; phase: string; description?: string }[];
    }>(`/zones/${zone}/rulesets`);
    const ruleset = answer?.result.find((one) => one.kind === "zone" && one.phase === phase);
    return (
      ruleset && {
        title: `ruleset "${ruleset.name}" (id ${ruleset.id}) of the phase ${phase}`,
        mark: ruleset.description?.replace(/^trivet /, ""),
        otherwise:
          "A zone has one a phase. Move its rules into edge.zone, then take it over: " +
          `pulumi import cloudflare:index/ruleset:Ruleset <name> zones/${zone}/${ruleset.id}; or delete it at Cloudflare`,
        remove: async () => {
          await cloudflare.send("DELETE", `/zones/${zone}/rulesets/${ruleset.id}`);
        },
      }
    );
  },
  // Of a project that is in this stack's state.
  "cloudflare:index/pagesDomain:PagesDomain": async ({ cloudflare }, inputs, mine) => {
    const [account, project, name] = ["accountId", "projectName", "name"].map((key) => String(inputs[key]));
    const path = `/accounts/${account}/pages/projects/${project}/domains/${name}`;
    return (await cloudflare.get(path)) === undefined
      ? undefined
      : {
          title: `domain ${name} of the Pages project ${project}`,
          mark: mine,
          remove: async () => {
            await cloudflare.send("DELETE", path);
          },
        };
  },
  "cloudflare:index/pagesProject:PagesProject": async ({ cloudflare }, inputs) => {
    const [account, name] = [String(inputs["accountId"]), String(inputs["name"])];
    return (await cloudflare.get(`/accounts/${account}/pages/projects/${name}`)) === undefined
      ? undefined
      : {
          title: `Pages project ${name}`,
          mark: undefined, // it has no field for one
          otherwise:
            "If a run that was interrupted made it, or somebody by hand, take it over: " +
            `pulumi import cloudflare:index/pagesProject:PagesProject <name> ${account}/${name}`,
          remove: async () => {},
        };
  },
  // A zone takes the same certificate once; its key is in this stack's state alone.
  "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate": async (
    { cloudflare },
    inputs,
    mine,
  ) => {
    const collection = `/zones/${String(inputs["zoneId"])}/origin_tls_client_auth`;
    const answer = await cloudflare.get<{ result: { id: string; certificate: string; status: string }[] }>(
      `${collection}?per_page=50`,
    );
    const certificate = String(inputs["certificate"]).trim();
    const left = answer?.result.find((one) => one.certificate.trim() === certificate && !GOING.has(one.status));
    return (
      left && {
        title: `client certificate ${left.id} for origin pulls`,
        mark: mine,
        remove: async () => {
          await cloudflare.send("DELETE", `${collection}/${left.id}`);
        },
      }
    );
  },
};

/** Shown for a while after their deletion. */
const GOING: ReadonlySet<string> = new Set(["pending_deletion", "deleted"]);

async function removeAndWait(api: CloudApi, path: string): Promise<void> {
  await api.send("DELETE", path);
  await until(async () => (await api.get(path)) === undefined);
}

async function until(done: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DELETE_DEADLINE_MILLISECONDS;
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error("it is still there a minute after its deletion");
    await new Promise((resolve) => setTimeout(resolve, DELETE_POLL_MILLISECONDS));
  }
}

/**
 * An Origin CA certificate has no unique name, so a lost answer leaves a twin that nothing refuses. Twins are known by the signing
 * request, whose key is in this stack's state alone: after a create the others are revoked.
 */
export function revokeTwins(cloudflare: pulumi.Input<CloudApi>, zoneId: pulumi.Input<string>): pulumi.ResourceHook {
  return new pulumi.ResourceHook("trivet-revoke-twin-certificates", async ({ id, newInputs }) => {
    const [api, zone] = await outputValue(pulumi.all([cloudflare, zoneId]));
    const answer = await api.get<{ result: { id: string; csr: string }[] }>(
      `/certificates?zone_id=${zone}&per_page=50`,
    );
    const csr = String(newInputs?.["csr"]).trim();
    for (const twin of answer?.result ?? []) {
      if (twin.id !== id && twin.csr.trim() === csr) await api.send("DELETE", `/certificates/${twin.id}`);
    }
  });
}

/** Where what Access keeps by id alone is listed. */
const ACCESS_COLLECTIONS: Readonly<Record<string, string>> = {
  "cloudflare:index/zeroTrustAccessPolicy:ZeroTrustAccessPolicy": "policies",
  "cloudflare:index/zeroTrustAccessServiceToken:ZeroTrustAccessServiceToken": "service_tokens",
};

/**
 * Policies and service tokens of Access have no unique name either, so theirs hold the installation's mark: after a create the others
 * of the same name are removed. Nobody was ever given their ids or secrets.
 */
export function removeAccessTwins(cloudflare: pulumi.Input<CloudApi>): pulumi.ResourceHook {
  return new pulumi.ResourceHook("trivet-remove-access-twins", async ({ id, type, newInputs }) => {
    const collection = ACCESS_COLLECTIONS[type];
    if (collection === undefined) return;
    const path = `/accounts/${String(newInputs?.["accountId"])}/access/${collection}`;
    const api = await outputValue(pulumi.output(cloudflare));
    const answer = await api.get<{ result: { id: string; name: string }[] }>(`${path}?per_page=1000`);
    for (const twin of answer?.result ?? []) {
      if (twin.id !== id && twin.name === newInputs?.["name"]) await api.send("DELETE", `${path}/${twin.id}`);
    }
  });
}
