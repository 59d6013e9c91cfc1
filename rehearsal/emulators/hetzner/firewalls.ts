import { actionView } from "./actions";
import { hasHostBits, isCidr } from "./addresses";
import { type Api, checkUniqueName, found, listed } from "./api";
import type { Cloud } from "./cloud";
import { ApiError, invalidField } from "./errors";
import { type Labels, labelSelector } from "./label-selector";
import type { Firewall, FirewallRule, FirewallTarget, Server } from "./project";
import { firewallView } from "./views";

const KIND = "firewall";
/** docs.hetzner.com, "Firewalls FAQ": of one firewall, of all firewalls of one server, and addresses of one rule. */
const FIREWALLS_PER_SERVER_LIMIT = 5;
const EFFECTIVE_RULES_LIMIT = 500;
const ADDRESSES_PER_RULE_LIMIT = 100;

interface RuleBody {
  direction: FirewallRule["direction"];
  protocol: FirewallRule["protocol"];
  port?: string | null;
  source_ips?: string[];
  destination_ips?: string[];
  description?: string | null;
}

interface TargetBody {
  type: FirewallTarget["type"];
  server?: { id: number } | null;
  label_selector?: { selector: string } | null;
}

function checkedRules(rules: readonly RuleBody[]): FirewallRule[] {
  return rules.map((rule, index) => {
    const at = (field: string) => `rules.${index}.${field}`;
    const hasPorts = rule.protocol === "tcp" || rule.protocol === "udp";
    const port = rule.port ?? null;
    if (hasPorts && port === null) throw invalidField(at("port"), `is required for protocol ${rule.protocol}`);
    if (!hasPorts && port !== null) throw invalidField(at("port"), `is not allowed for protocol ${rule.protocol}`);
    if (port !== null && !isPort(port))
      throw invalidField(at("port"), `'${port}' is no port, no range of ports and not 'any'`);
    const [used, unused] =
      rule.direction === "in"
        ? (["source_ips", "destination_ips"] as const)
        : (["destination_ips", "source_ips"] as const);
    const addresses = rule[used] ?? [];
    if (addresses.length === 0) throw invalidField(at(used), `is required for direction ${rule.direction}`);
    if (addresses.length > ADDRESSES_PER_RULE_LIMIT)
      throw invalidField(at(used), `has more than ${ADDRESSES_PER_RULE_LIMIT} entries`);
    if ((rule[unused] ?? []).length > 0)
      throw invalidField(at(unused), `is not allowed for direction ${rule.direction}`);
    for (const address of addresses) {
      if (!isCidr(address) || hasHostBits(address))
        throw invalidField(at(used), `'${address}' is not a network in CIDR notation`);
    }
    return {
      direction: rule.direction,
      protocol: rule.protocol,
      port: port === "any" ? "1-65535" : port,
      source_ips: rule.source_ips ?? [],
      destination_ips: rule.destination_ips ?? [],
      description: rule.description ?? null,
    };
  });
}

function isPort(text: string): boolean {
  if (text === "any") return true;
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (!match) return false;
  const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
  return from >= 1 && to <= 65_535 && from <= to;
}

/** A firewall guards the public interface only, and a server carries a limited number of them. */
export function checkApplicable(
  cloud: Cloud,
  firewall: Firewall,
  server: Pick<Server, "id">,
  hasPublicNet: boolean,
): void {
  if (!hasPublicNet)
    throw new ApiError("private_net_only_server", `server with ID '${server.id}' has no public interface`);
  const existing = cloud.project.servers.get(server.id);
  const others = existing ? cloud.firewallsOf(existing).filter(({ id }) => id !== firewall.id) : [];
  if (others.length >= FIREWALLS_PER_SERVER_LIMIT) {
    throw new ApiError("resource_limit_exceeded", "a server can have 5 firewalls", {
      limits: [{ name: "server_firewall_limit" }],
    });
  }
  const rules = [firewall, ...others].reduce((sum, { rules }) => sum + rules.length, 0);
  if (rules > EFFECTIVE_RULES_LIMIT) {
    throw new ApiError("resource_limit_exceeded", "a server can have 500 effective rules", {
      limits: [{ name: "firewall_rule_limit" }],
    });
  }
}

const isSame = (a: FirewallTarget, b: FirewallTarget): boolean =>
  a.type === "server"
    ? b.type === "server" && a.server.id === b.server.id
    : b.type === "label_selector" && a.label_selector.selector === b.label_selector.selector;

export function firewallRoutes(api: Api, cloud: Cloud): void {
  const { firewalls, servers } = cloud.project;
  const view = firewallView(cloud);

  const asTarget = (
    { type, server, label_selector: selector }: TargetBody,
    index: number,
    list: string,
  ): FirewallTarget => {
    if (type === "server") {
      if (!server) throw invalidField(`${list}.${index}.server`, "is required for type server");
      if (!servers.has(server.id))
        throw new ApiError("firewall_resource_not_found", `server with ID '${server.id}' not found`);
      return { type, server: { id: server.id } };
    }
    if (!selector) throw invalidField(`${list}.${index}.label_selector`, "is required for type label_selector");
    labelSelector(selector.selector, `${list}.${index}.label_selector.selector`);
    return { type, label_selector: { selector: selector.selector } };
  };

  const applied = (firewall: Firewall, command: "apply_firewall" | "remove_firewall", target: FirewallTarget) =>
    actionView(
      cloud.startAction({
        command,
        resources: [
          { type: "firewall", id: firewall.id },
          ...(target.type === "server" ? [{ type: "server" as const, id: target.server.id }] : []),
        ],
      }),
    );

  /** Checks all, then applies all: the API never applies half of a request. */
  const apply = (firewall: Firewall, bodies: readonly TargetBody[]) => {
    const targets = bodies.map((body, index) => asTarget(body, index, "apply_to"));
    targets.forEach((target, index) => {
      if (targets.slice(0, index).some((one) => isSame(one, target))) {
        throw new ApiError("server_already_added", "the same resource stands twice in apply_to");
      }
      if (firewall.targets.some((one) => isSame(one, target))) {
        throw new ApiError(
          "firewall_already_applied",
          `firewall with ID '${firewall.id}' is already applied to this resource`,
        );
      }
      if (target.type === "server") {
        const server = found(servers, target.server.id, "server");
        const hasPublicNet = (["ipv4", "ipv6"] as const).some((type) => cloud.primaryIpOf(server, type) !== undefined);
        checkApplicable(cloud, firewall, server, hasPublicNet);
      }
    });
    firewall.targets.push(...targets);
    return targets.map((target) => applied(firewall, "apply_firewall", target));
  };

  api.get("/firewalls", ({ query }) => listed("firewalls", firewalls.values(), query, view));
  api.get("/firewalls/{id}", ({ id }) => ({ firewall: view(found(firewalls, id, KIND)) }));

  interface Create {
    name: string;
    labels?: Labels | null;
    rules?: RuleBody[];
    apply_to?: TargetBody[];
  }
  api.post<Create>("/firewalls", ({ body }) => {
    const rules = checkedRules(body.rules ?? []);
    checkUniqueName(firewalls.values(), body.name);
    cloud.checkLimit("firewalls", "firewall");
    const firewall: Firewall = {
      id: cloud.newId(),
      name: body.name,
      labels: body.labels ?? {},
      created: new Date().toISOString(),
      rules,
      targets: [],
    };
    const actions = apply(firewall, body.apply_to ?? []);
    firewalls.set(firewall.id, firewall);
    const setRules = rules.length > 0 ? [setRulesAction(firewall)] : [];
    return { firewall: view(firewall), actions: [...setRules, ...actions] };
  });

  const setRulesAction = (firewall: Firewall) =>
    actionView(
      cloud.startAction({ command: "set_firewall_rules", resources: [{ type: "firewall", id: firewall.id }] }),
    );

  api.put<{ name?: string | null; labels?: Labels | null }>("/firewalls/{id}", ({ id, body }) => {
    const firewall = found(firewalls, id, KIND);
    if (typeof body.name === "string") {
      checkUniqueName(firewalls.values(), body.name, { except: id });
      firewall.name = body.name;
    }
    if (body.labels) firewall.labels = body.labels;
    return { firewall: view(firewall) };
  });

  api.delete("/firewalls/{id}", ({ id }) => {
    const firewall = found(firewalls, id, KIND);
    const inUse = firewall.targets.some(
      (target) => target.type === "server" || cloud.serversSelectedBy(target.label_selector.selector).length > 0,
    );
    if (inUse) throw new ApiError("resource_in_use", `firewall with ID '${id}' is still in use`);
    firewalls.delete(id);
  });

  api.post<{ rules: RuleBody[] }>("/firewalls/{id}/actions/set_rules", ({ id, body }) => {
    const firewall = found(firewalls, id, KIND);
    firewall.rules = checkedRules(body.rules);
    return { actions: [setRulesAction(firewall)] };
  });

  api.post<{ apply_to: TargetBody[] }>("/firewalls/{id}/actions/apply_to_resources", ({ id, body }) => ({
    actions: apply(found(firewalls, id, KIND), body.apply_to),
  }));

  api.post<{ remove_from: TargetBody[] }>("/firewalls/{id}/actions/remove_from_resources", ({ id, body }) => {
    const firewall = found(firewalls, id, KIND);
    const targets = body.remove_from.map((one, index) => asTarget(one, index, "remove_from"));
    for (const target of targets) {
      if (firewall.targets.some((one) => isSame(one, target)) || target.type !== "server") continue;
      const bySelector = firewall.targets.some(
        (one) =>
          one.type === "label_selector" &&
          cloud.serversSelectedBy(one.label_selector.selector).includes(target.server.id),
      );
      if (bySelector) {
        throw new ApiError(
          "firewall_managed_by_label_selector",
          "the firewall was applied by a label selector and cannot be removed manually",
        );
      }
    }
    // Removing what is not there is no error since 2025-08-04.
    firewall.targets = firewall.targets.filter((one) => !targets.some((target) => isSame(one, target)));
    return { actions: targets.map((target) => applied(firewall, "remove_firewall", target)) };
  });
}
