import type { PropertyMap, PropertyValue } from "../../protocol/provider";
import { isList, isMap } from "../../protocol/values";
import { addressProblem, normalisedAddress } from "../cidr";
import { type Action, hasCode } from "../client";
import { labelProblem, labelsOf } from "../labels";
import { isNumeric, numberOf, type ResourceType, textOf } from "../resource-type";
import { blocks, type Field, integer, setOf, text, textMap } from "../schema";

interface Rule {
  direction: string;
  protocol: string;
  port: string | null;
  source_ips: string[];
  destination_ips: string[];
  description: string | null;
}

interface Target {
  type: string;
  server?: { id: number };
  label_selector?: { selector: string };
}

interface Firewall {
  id: number;
  name: string;
  labels: Record<string, string>;
  rules: Rule[];
  applied_to: Target[];
}

/** TF hcloud: twice its default, since setting servers free takes the API a while. */
const DELETE_TRIES = 10;

const oneOf = (kind: string, allowed: readonly string[]): Pick<Field, "problem"> => ({
  problem: (value) => (allowed.includes(String(value)) ? undefined : `${value as string} is not a valid ${kind}`),
});

const addresses = (): Field =>
  setOf("string", {
    inState: normalisedAddress,
    problem: (value) =>
      isList(value)
        ? value.flatMap((item) => (typeof item === "string" ? (addressProblem(item) ?? []) : [])).at(0)
        : undefined,
  });

/** The API has no "any": the provider writes all ports for it. */
const ALL_PORTS = "1-65535";

function ruleBodies(rules: PropertyValue | undefined): object[] {
  if (!isList(rules)) return [];
  return rules.filter(isMap).map(({ direction, protocol, port, sourceIps, destinationIps, description }) => ({
    direction,
    protocol,
    ...(textOf(port) === "" ? {} : { port: port === "any" ? ALL_PORTS : port }),
    source_ips: sourceIps ?? [],
    destination_ips: destinationIps ?? [],
    ...(textOf(description) === "" ? {} : { description }),
  }));
}

const targetBodies = (applyTos: PropertyValue | undefined): object[] =>
  isList(applyTos)
    ? applyTos
        .filter(isMap)
        .map(({ server, labelSelector }) =>
          numberOf(server) !== 0
            ? { type: "server", server: { id: server } }
            : { type: "label_selector", label_selector: { selector: labelSelector } },
        )
    : [];

const ruleInState = (rule: Rule, anyPort: boolean): PropertyMap => ({
  direction: rule.direction,
  protocol: rule.protocol,
  port: rule.port === ALL_PORTS && anyPort ? "any" : (rule.port ?? ""),
  sourceIps: [...rule.source_ips].sort(),
  destinationIps: [...rule.destination_ips].sort(),
  description: rule.description ?? "",
});

const targetInState = (target: Target): PropertyMap => ({
  server: target.server?.id ?? 0,
  labelSelector: target.label_selector?.selector ?? "",
});

export const firewall: ResourceType = {
  token: "hcloud:index/firewall:Firewall",
  terraformType: "hcloud_firewall",
  dialect: "sdk",
  fields: {
    name: text({ autoNamed: true, computed: true }),
    labels: textMap({ computed: true, problem: (value) => labelProblem(value)?.message }),
    rules: blocks(
      {
        direction: text({ required: true, ...oneOf("direction", ["in", "out"]) }),
        protocol: text({ required: true, ...oneOf("protocol", ["tcp", "udp", "icmp", "gre", "esp"]) }),
        port: text(),
        sourceIps: addresses(),
        destinationIps: addresses(),
        description: text(),
      },
      // A rule has no name: a changed one is another one.
      () => null,
      { terraformName: "rule" },
    ),
    applyTos: blocks(
      { server: integer({ computed: true }), labelSelector: text() },
      ({ server, labelSelector }) => `${numberOf(server)} ${textOf(labelSelector)}`,
      { terraformName: "apply_to", computed: true, unknownIsNoChange: true },
    ),
  },
  async create({ client, signal, created }, inputs, planned) {
    const body = {
      name: planned["name"],
      labels: labelsOf(inputs),
      rules: ruleBodies(planned["rules"]),
      apply_to: targetBodies(inputs["applyTos"]),
    };
    const answer = await client.post<{ firewall: Firewall; actions: Action[] }>("/firewalls", body, signal);
    await client.waitFor(answer.actions, signal);
    created(String(answer.firewall.id));
  },
  async read({ client, signal }, id, state) {
    if (!isNumeric(id)) return undefined;
    const answer = await client.find<{ firewall: Firewall }>(`/firewalls/${id}`, signal);
    if (!answer) return undefined;
    const { name, labels, rules, applied_to: targets } = answer.firewall;
    const known = isList(state["rules"]) ? state["rules"].filter(isMap) : [];
    const anyPort = known.some(({ port }) => port === "any");
    return {
      name,
      labels,
      rules: rules.map((rule) => ruleInState(rule, anyPort)),
      applyTos: targets.map(targetInState),
    };
  },
  async update({ client, signal }, id, { state, planned, has, inputs }) {
    if (has("name")) await client.put(`/firewalls/${id}`, { name: planned["name"] }, signal);
    const act = async (action: string, body: object) => {
      const { actions } = await client.post<{ actions: Action[] }>(`/firewalls/${id}/actions/${action}`, body, signal);
      await client.waitFor(actions, signal);
    };
    if (has("rules")) await act("set_rules", { rules: ruleBodies(planned["rules"]) });
    if (has("labels")) await client.put(`/firewalls/${id}`, { labels: labelsOf(inputs) ?? {} }, signal);
    if (has("applyTos")) {
      const keyOf = (target: object) => JSON.stringify(target);
      const [before, after] = [targetBodies(state["applyTos"]), targetBodies(inputs["applyTos"])];
      const gone = before.filter((one) => !after.some((other) => keyOf(other) === keyOf(one)));
      const come = after.filter((one) => !before.some((other) => keyOf(other) === keyOf(one)));
      if (gone.length > 0) await act("remove_from_resources", { remove_from: gone });
      if (come.length > 0) await act("apply_to_resources", { apply_to: come });
    }
  },
  async delete({ client, signal }, id) {
    const remove = () => client.delete(`/firewalls/${id}`, signal);
    await client
      .retry(DELETE_TRIES, (error) => hasCode(error, "conflict", "resource_in_use"), remove, signal)
      .catch((error: unknown) => {
        if (!hasCode(error, "not_found")) throw error;
      });
  },
};
