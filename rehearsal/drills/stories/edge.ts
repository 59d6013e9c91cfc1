import { walk } from "../../../model/walk";
import { EdgeAuthority } from "../../emulators/cloudflare/door/edge-authority";
import { shownToOrigins } from "../../emulators/cloudflare";
import type { WhoamiAnswer } from "../../pods";
import { describeLeft, describeVisitors, type Visitors } from "../../rehearse/visitors";
import { CLOUDFLARE_ADDRESSES, STRANGER_ADDRESS } from "../../wire/addresses";
import { knock } from "../knock";
import type { Scene } from "../scene";
import type { Story } from "../story";
import { QUICK } from "./roll";

/** Brought up once for all that is asked of it. */
const at = (stack: string): Story["stage"] => ({ stack, config: {}, edge: true, kept: true });

const HTTPS = 443;
const FORGED = "6.6.6.6";
/** Hetzner's firewall is followed every 100 ms. */
const FIREWALL_MILLISECONDS = 5_000;

const routesOf = (stack: string, name: string, title: string): Story => ({
  name,
  title,
  stage: at(stack),
  async play(scene) {
    scene.given(`the platform ${stack}, with the real Traefik; every way into it as its definition has it`);
    await scene.thenWell();
    const asked = await scene.rehearsal.askRoutes();
    for (const { url, hops, answers, problems, ok } of asked) {
      scene.then([url, ...answers].join("\n              "), ok, problems.join("; "));
      scene.note(`      ${hops.join(" -> ")}`);
    }
    const { edge, domain } = scene.rehearsal.platform;
    const ways =
      edge.routes.length + edge.zone.redirects.length + edge.sites.reduce((sum, { hosts }) => sum + hosts.length, 0);
    scene.then(`all ${ways} ways of the definition were asked`, ways > 0 && asked.length >= ways);

    const nobody = new URL(`https://nobody-at-all.${domain}/`);
    const { arrives } = walk(scene.rehearsal.platform, nobody);
    const { status } = await scene.rehearsal.visit(nobody.href);
    scene.then(`a host that nobody has ends in ${status}, and the walk says so`, !arrives && status >= 400);
    thenDoors(scene);
  },
});

export const edgeRoutes = routesOf(
  "honeydue",
  "edge-routes",
  "proxied records: every route is walked hop by hop, and asked through Cloudflare's edge and Traefik",
);
export const edgeRoutesTunnel = routesOf(
  "hangangjari",
  "edge-routes-tunnel",
  "a tunnel: every route is walked and asked; no server has an open port",
);
export const edgeRoutesFarm = routesOf(
  "farm",
  "edge-routes-farm",
  "paths of several services on one host, a redirect, a guarded host: walked and asked",
);

/** What Hetzner's firewalls let in, of all that they are at this moment. */
function thenDoors(scene: Scene): void {
  const { edge, cluster } = scene.rehearsal.platform;
  const rules = [...scene.rehearsal.hetzner.project.firewalls.values()]
    .flatMap((firewall) => firewall.rules)
    .filter(({ direction }) => direction === "in");
  const own = rules.filter(({ source_ips }) =>
    source_ips.every((range) => cluster.kubernetesApiAllowedCidrs.includes(range)),
  );
  const others = rules.filter((rule) => !own.includes(rule));
  const found = others.map(({ port, source_ips }) => `${port} from ${source_ips.length} ranges`).join(", ");
  if (edge.kind === "tunnel")
    return void scene.then(
      `Hetzner's firewalls have ${rules.length} inbound rules${own.length > 0 ? ", of operators" : ""}`,
      others.length === 0,
      found,
    );
  const published = [...edge.cloudflareCidrs.ipv4, ...edge.cloudflareCidrs.ipv6].sort().join();
  scene.then(
    `Hetzner's firewalls let in ${found}, Cloudflare's published ones, and nobody else${own.length > 0 ? " but operators" : ""}`,
    others.length > 0 &&
      others.every(({ port, source_ips }) => port === `${HTTPS}` && [...source_ips].sort().join() === published),
  );
}

export const edgeRefusals: Story = {
  name: "edge-refusals",
  title: "strangers at the servers, another customer of Cloudflare, forged headers, a way around Access: all refused",
  stage: at("honeydue"),
  async play(scene) {
    const { rehearsal } = scene;
    const { edge, domain } = rehearsal.platform;
    const api = `https://api.${domain}/v1/things?page=2`;
    scene.given("the platform, with Hetzner's firewall in the kernel and Cloudflare's client certificate at Traefik");
    await scene.thenWell();

    scene.when(`a visitor at ${STRANGER_ADDRESS} says in every header that it is ${FORGED}`);
    const forged = await rehearsal.visit(api, {
      from: STRANGER_ADDRESS,
      headers: {
        "cf-connecting-ip": FORGED,
        "true-client-ip": FORGED,
        "x-forwarded-for": FORGED,
        "x-forwarded-host": "evil.example",
        "x-real-ip": FORGED,
        x_real_ip: FORGED,
      },
    });
    const seen = JSON.parse(forged.body || "{}") as WhoamiAnswer;
    const { headers = {} } = seen;
    scene.must("the request is answered", forged.status === 200, `${forged.status} ${forged.body}`);
    const chain = headers["x-forwarded-for"]?.split(", ") ?? [];
    scene.then(`the last of X-Forwarded-For is ${STRANGER_ADDRESS}`, chain.at(-1) === STRANGER_ADDRESS, chain.join());
    scene.then(`CF-Connecting-IP is ${STRANGER_ADDRESS}`, headers["cf-connecting-ip"] === STRANGER_ADDRESS);
    const said = ["x-real-ip", "x_real_ip", "x-forwarded-host"].filter((name) =>
      [FORGED, "evil.example"].includes(headers[name] ?? ""),
    );
    scene.then("no other header of the visitor's tells the service who it is", said.length === 0, said.join());

    scene.when("somebody connects to the servers past Cloudflare");
    for (const address of rehearsal.nodeAddresses) {
      const answer = await knock(address, HTTPS, { from: STRANGER_ADDRESS, host: `api.${domain}` });
      scene.then(`${address} gives ${STRANGER_ADDRESS} no answer at all`, answer === "no answer", answer);
    }
    const [server = ""] = rehearsal.nodeAddresses;
    const [cloudflare = ""] = CLOUDFLARE_ADDRESSES;
    scene.when(
      "another customer of Cloudflare points a name at our server: from Cloudflare's addresses, as anybody can",
    );
    const bare = await knock(server, HTTPS, { from: cloudflare, host: `api.${domain}` });
    scene.then(`without a client certificate: ${bare}`, bare.includes("CERTIFICATE_REQUIRED"), bare);
    const customer = await (
      await EdgeAuthority.make("Somebody else's authority")
    ).issue("other.example", ["other.example"]);
    const others = await knock(server, HTTPS, {
      from: cloudflare,
      host: `api.${domain}`,
      cert: customer.certificate,
      key: customer.key,
    });
    scene.then(`with a client certificate of its own: ${others}`, /BAD_CERTIFICATE|UNKNOWN_CA/.test(others), others);

    const [guarded] = edge.routes.filter(({ via }) => via === "operators");
    const zone = rehearsal.cloudflare.state.zones.find(({ name }) => name === domain);
    const ours = zone && shownToOrigins(zone, new Date());
    if (guarded && typeof ours === "object") {
      scene.when(`somebody even had Cloudflare's certificate for this zone, and asks Traefik for ${guarded.fqdn}`);
      const own = { from: cloudflare, cert: ours.certificate, key: ours.privateKey };
      const open = await knock(server, HTTPS, { ...own, host: `api.${domain}` });
      scene.must("api is answered that way", open === "HTTP 200", open);
      const around = await knock(server, HTTPS, { ...own, host: guarded.fqdn });
      scene.then(`Traefik has no such host and closes the connection: ${around}`, around === "ECONNRESET", around);
    }

    scene.when("somebody opens 443 to everybody in Hetzner's console");
    const opened = [...rehearsal.hetzner.project.firewalls.values()]
      .flatMap(({ rules }) => rules)
      .filter(({ port }) => port === `${HTTPS}`);
    for (const { source_ips } of opened) source_ips.push("0.0.0.0/0");
    await scene.until(
      "the firewall is open",
      async () => (await knock(server, HTTPS, { from: STRANGER_ADDRESS, host: `api.${domain}` })) !== "no answer",
      FIREWALL_MILLISECONDS,
    );
    const through = await knock(server, HTTPS, { from: STRANGER_ADDRESS, host: `api.${domain}` });
    scene.then(`Traefik itself refuses then: ${through}`, through.includes("CERTIFICATE_REQUIRED"), through);
    for (const { source_ips } of opened) source_ips.splice(source_ips.indexOf("0.0.0.0/0"), 1);
    await scene.until(
      "the firewall is shut again",
      async () => (await knock(server, HTTPS, { from: STRANGER_ADDRESS, host: `api.${domain}` })) === "no answer",
      FIREWALL_MILLISECONDS,
    );
    await scene.thenWell();
  },
};

interface Rolled {
  kind: "daemonsets" | "deployments";
  namespace: string;
  name: string;
  /** An argument that is changed, and what into. */
  change: { from: string; to: string };
}

/** A change to an argument is one to the pod template, as another pin is: the controllers roll the pods by their own strategy. */
async function rollByArgument(scene: Scene, { kind, namespace, name, change }: Rolled): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${namespace}/${kind}/${name}`;
  const { spec } = await scene.kubernetes<{ spec: { template: { spec: { containers: { args: string[] }[] } } } }>("GET", path); // prettier-ignore
  const index = spec.template.spec.containers[0]?.args.indexOf(change.from) ?? -1;
  scene.must(`${name} has the argument ${change.from}`, index >= 0);
  const before = await podsOf(scene, namespace, name);
  scene.when(`${name} gets ${change.to} in place of ${change.from}: ${before.length} pods are rolled`);
  const began = performance.now();
  await scene.kubernetes("PATCH", path, {
    type: "application/json-patch+json",
    value: [{ op: "replace", path: `/spec/template/spec/containers/0/args/${index}`, value: change.to }],
  });
  await scene.thenSoon(
    `every pod of ${name} is a new one, and ready`,
    async () => {
      const now = await podsOf(scene, namespace, name);
      return (
        now.length === before.length && now.every(({ uid, isReady }) => isReady && before.every((b) => b.uid !== uid))
      );
    },
    ROLLED_WITHIN_MILLISECONDS,
  );
  scene.note(`after ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

/** Three servers one after the other, each with its grace of up to 40 s. */
const ROLLED_WITHIN_MILLISECONDS = 240_000;

/** All of them, those that are ending, too. */
async function podsOf(scene: Scene, namespace: string, name: string): Promise<{ uid: string; isReady: boolean }[]> {
  const { items } = await scene.kubernetes<{
    items: {
      metadata: { uid: string; deletionTimestamp?: string };
      status: { conditions?: { type: string; status: string }[] };
    }[];
  }>("GET", `/api/v1/namespaces/${namespace}/pods?labelSelector=app.kubernetes.io%2Fname%3D${name}`);
  return items.map(({ metadata, status }) => ({
    uid: metadata.uid,
    isReady:
      metadata.deletionTimestamp === undefined &&
      status.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") === true,
  }));
}

/** The api gets another image by `pulumi up`: of the same name, with another digest. */
async function rollApi(scene: Scene): Promise<void> {
  const { name, namespace } = scene.rehearsal.platform;
  const images = scene.rehearsal.stack.config["trivet:images"] as Record<string, string>;
  const [repository] = (images["api"] ?? "").split(":");
  const before = await podsOf(scene, namespace, "api");
  scene.when(`the api of ${name} gets a new image`);
  await scene.set("images.api", `${repository}:next@sha256:${"0123456789abcdef".repeat(4)}`);
  const up = await scene.up({ args: ["--skip-preview"], environment: QUICK });
  scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
  await scene.thenSoon(`all ${before.length} pods of the api are new ones, and ready`, async () => {
    const now = await podsOf(scene, namespace, "api");
    return (
      now.length === before.length && now.every(({ uid, isReady }) => isReady && before.every((b) => b.uid !== uid))
    );
  });
}

async function thenNoneLost(scene: Scene, urls: readonly string[], visitors: readonly Visitors[]): Promise<void> {
  for (const [index, one] of visitors.entries()) {
    const report = await one.end();
    const pods = Object.keys(report.answeredBy).length;
    scene.then(
      `${urls[index]}: ${describeVisitors(report)}, answered by ${pods} pods`,
      report.lost === 0 && report.requests > report.seconds * MOST_OF_THE_RATE * (RATE / urls.length),
    );
    for (const line of describeLeft(scene.rehearsal.door?.left ?? [], one)) scene.note(line);
    scene.then("pods of both releases answered", pods > scene.rehearsal.platform.workloads.find(({ name }) => name === "api")!.replicas); // prettier-ignore
  }
}

/** Requests a second, of all visitors. */
const RATE = 50;
const MOST_OF_THE_RATE = 0.9;

const rolls = (
  stack: string,
  name: string,
  title: string,
  { urls, rolled }: { urls: readonly string[]; rolled: readonly Rolled[] },
): Story => ({
  name,
  title,
  stage: at(stack),
  async play(scene) {
    scene.given(
      `visitors at ${RATE} requests a second in all, every other over a kept connection, every fifth a POST, every fiftieth answered after 3 s`,
    );
    await scene.thenWell();
    const visitors = urls.map((url) => scene.rehearsal.startVisitors(url, { perSecond: RATE / urls.length }));
    try {
      for (const one of rolled) await rollByArgument(scene, one);
      await rollApi(scene);
    } finally {
      await thenNoneLost(scene, urls, visitors);
    }
    await scene.thenWell();
  },
});

const QUIETER = { from: "--log.level=INFO", to: "--log.level=WARN" };

export const edgeRoll = rolls(
  "honeydue",
  "edge-roll",
  "Traefik on the servers and the api are rolled under load: no visitor's request is lost",
  {
    urls: ["https://api.honeydue.example/v1/things"],
    rolled: [{ kind: "daemonsets", namespace: "ingress", name: "traefik", change: QUIETER }],
  },
);

export const edgeRollTunnel = rolls(
  "hangangjari",
  "edge-roll-tunnel",
  "the users' connectors, Traefik behind them and the api are rolled under load: no visitor's request is lost",
  {
    // One through Traefik, one straight to the Service.
    urls: ["https://api.hangangjari.example/v1/things", "https://api.hangangjari.example/v1/home"],
    rolled: [
      { kind: "deployments", namespace: "ingress", name: "traefik", change: QUIETER },
      {
        kind: "deployments",
        namespace: "edge",
        name: "users-connector",
        change: { from: "0.0.0.0:2000", to: ":2000" },
      },
    ],
  },
);
