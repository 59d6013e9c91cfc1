import { parse } from "yaml";
import { NETPLAN_PATH } from "../../machines/netplan";
import type { EngineRun } from "../../rehearse/engine";
import type { Scene } from "../scene";
import type { Story } from "../story";
import { callsSoFar, LOSE_QUEUE, previewed, QUICK, serverActions } from "./roll";

const ENVIRONMENT = { ...LOSE_QUEUE, ...QUICK };

/** The names' IPv6 records, and nothing else. */
const NAMES = "**:DnsRecord::*-ipv6";

function endedWell(scene: Scene, run: EngineRun): void {
  scene.must("pulumi up ended well", run.ok, run.errors.join("\n"));
}

/** A server's address at Hetzner, and the one that its system was installed with. */
interface Address {
  readonly given: string | undefined;
  readonly configured: string | undefined;
}

async function addresses(scene: Scene): Promise<Record<string, Address>> {
  const found: Record<string, Address> = {};
  for (const [node, { public_net }] of Object.entries(await scene.servers())) {
    const { network } = parse((await scene.readFile(node, NETPLAN_PATH)) ?? "{}") as {
      network?: { ethernets: { eth0: { addresses?: string[] } } };
    };
    const given = public_net.ipv6?.ip.replace(/::\/64$/, "::1/64");
    found[node] = { given, configured: network?.ethernets.eth0.addresses?.[0] };
  }
  return found;
}

/** Where names lead that a rule at the edge answers for. */
const NOWHERE = "192.0.2.1";

/** What the names lead to that lead to servers: `api.honeydue.example A 3, AAAA 0`. */
function names(scene: Scene): string[] {
  const [zone] = scene.rehearsal.cloudflare.state.zones;
  const counts = new Map<string, { A: number; AAAA: number }>();
  for (const { name, type, proxied, content } of zone?.dnsRecords ?? []) {
    if ((type !== "A" && type !== "AAAA") || !proxied || content === NOWHERE) continue;
    const count = counts.get(name) ?? { A: 0, AAAA: 0 };
    count[type]++;
    counts.set(name, count);
  }
  return [...counts].map(([name, { A, AAAA }]) => `${name} A ${A}, AAAA ${AAAA}`).sort();
}

export const ipv6: Story = {
  name: "ipv6",
  title: "nodes get an IPv6 address each, and names lead there; and all of it is taken back",
  stage: { config: {} },
  async play(scene) {
    endedWell(scene, await scene.up({ args: ["--skip-preview"] }));
    const before = await scene.servers();
    const namesBefore = names(scene);
    scene.given(`three servers with an IPv4 address each, and ${namesBefore.length} names that lead there`);
    await scene.startWatch();

    scene.when("the setting ipv6 is set");
    await scene.set("ipv6", true);
    const preview = await previewed(scene);
    for (const node of ["a", "b", "c"])
      scene.then(
        `and says of node ${node} that it is rebuilt in its turn, because of IPv6`,
        new RegExp(`^ *${node} +rebuilt in its turn +IPv6 off -> on`, "m").test(preview.output),
        preview.output.slice(-2_000),
      );
    let since = callsSoFar(scene);
    const up = await scene.up({ args: ["--skip-preview"], environment: ENVIRONMENT });
    endedWell(scene, up);
    await scene.thenNobodyNoticed();
    turnsWereTaken(scene, since, before);
    const steps = up.steps.map(({ urn }) => urn.split("::").slice(-2).join(" "));
    const early = steps.filter((step, index) => {
      const [, node] = /DnsRecord \S+-([abc])-ipv6$/.exec(step) ?? [];
      return (
        node !== undefined &&
        index < steps.findIndex((other) => /:Server \S+$/.test(other) && other.endsWith(`-${node}`))
      );
    });
    scene.then("no name led to an address before its server had it", early.length === 0, steps.join("; "));
    const on = await addresses(scene);
    scene.then(
      `every server has an address, which its system knows (${Object.values(on)
        .map(({ given }) => given)
        .join(", ")})`,
      new Set(Object.values(on).map(({ given }) => given)).size === 3 &&
        Object.values(on).every(({ given, configured }) => given !== undefined && configured === given),
      JSON.stringify(on),
    );
    const namesOn = names(scene);
    scene.then(
      `every name leads there as well (${namesOn.join("; ")})`,
      namesOn.join() === namesBefore.map((name) => name.replace("A 3, AAAA 0", "A 3, AAAA 3")).join(),
      namesBefore.join("; "),
    );
    await scene.thenWell();
    await scene.thenIdle();

    scene.when("the setting is taken back while names lead to the addresses");
    await scene.set("protect", false);
    endedWell(scene, await scene.up({ args: ["--skip-preview"] }));
    await scene.set("ipv6", undefined);
    since = callsSoFar(scene);
    const refused = await scene.up({ args: ["--skip-preview"], environment: ENVIRONMENT });
    const said = refused.errors.join("\n");
    scene.then(
      "pulumi up refuses, and says which names and what to do first",
      !refused.ok && /IPv6 on -> off.*api\.honeydue\.example.*--target/.test(said),
      said,
    );
    scene.then("no server was touched", serverActions(scene, since, "\\w+", before).length === 0);
    scene.when("the names are taken away first");
    await scene.startWatch();
    endedWell(scene, await scene.up({ args: ["--skip-preview", "--target", NAMES] }));
    scene.then(
      "every name leads to IPv4 addresses alone",
      names(scene).join() === namesBefore.join(),
      names(scene).join("; "),
    );
    since = callsSoFar(scene);
    endedWell(scene, await scene.up({ args: ["--skip-preview"], environment: ENVIRONMENT }));
    await scene.thenNobodyNoticed();
    turnsWereTaken(scene, since, before);
    const off = await addresses(scene);
    scene.then(
      "no server has an IPv6 address, and no system believes to have one",
      Object.values(off).every(({ given, configured }) => given === undefined && configured === undefined),
      JSON.stringify(off),
    );
    const left = [...scene.rehearsal.hetzner.project.primaryIps.values()].filter(({ type }) => type === "ipv6");
    scene.then("none is left at Hetzner", left.length === 0, left.map(({ name }) => name).join(", "));
    await scene.set("protect", undefined);
    endedWell(scene, await scene.up({ args: ["--skip-preview"] }));
    await scene.thenWell();
    await scene.thenIdle();
  },
};

/** Once each, and in place: rebuilt, and then given its addresses by the provider. */
function turnsWereTaken(scene: Scene, since: number, servers: Awaited<ReturnType<Scene["servers"]>>): void {
  const turns = serverActions(scene, since, "rebuild", servers);
  scene.then(
    `each server had its turn once (rebuilt in place: ${turns.join(", then ")})`,
    turns.length === 3 && new Set(turns).size === 3,
    turns.join(", "),
  );
}
