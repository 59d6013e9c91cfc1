import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { EDGE_ADDRESS } from "../../wire/addresses";
import type { Scene } from "../scene";
import type { Story } from "../story";

/** More than the 364 days that certificates of the edge have left, less those from which `trivet doctor` fails. */
const DAYS_AHEAD = 340;
const NEW_RANGE = "198.51.100.0/24";

const at = (stack: string): Story["stage"] => ({ stack, config: {}, edge: true, kept: true });

/** What was looked at and is not well, as `trivet doctor` names it: `record`, `connectors`. */
const faultsIn = (stdout: string): string[] =>
  [...stdout.matchAll(/^ {2}(?:FAIL|\?) +(\S+)/gm)].map(([, id = ""]) => id).sort();

async function thenDoctorFinds(scene: Scene, faults: readonly string[], daysAhead = 0): Promise<string> {
  const { exitCode, stdout, stderr } = await scene.trivet(["doctor"], {}, { daysAhead });
  const found = faultsIn(stdout);
  scene.then(
    faults.length === 0
      ? "trivet doctor finds no fault, and ends with 0"
      : `trivet doctor finds that and nothing else (${faults.join(", ")}), and ends with 1`,
    exitCode === (faults.length === 0 ? 0 : 1) && found.join() === [...faults].sort().join(),
    `exit code ${exitCode}: ${found.join(", ")}${stderr}`,
  );
  return stdout;
}

/** As the advice of `trivet doctor` says. */
async function putBack(scene: Scene, ...more: string[]): Promise<void> {
  const up = await scene.up({ args: ["--skip-preview", "--refresh", ...more] });
  scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
  await scene.thenWell();
}

const ANSWERED = { exitCode: 0, means: "a visitor is answered", says: /^now: 200, by cloudflare/m };
const REDIRECTED = {
  exitCode: 0,
  means: "a visitor is sent to the domain itself, path and all",
  says: /^now: 301, to https:\/\/honeydue\.example\/a\?b=c/m,
};
const GUARDED = { exitCode: 0, means: "a stranger has to log in", says: /^now: 302, .*: a stranger does not pass$/m };
const NOBODY = { exitCode: 1, means: "nobody has this name", says: /ends at dns, by the model$/m };
const SHUT = {
  exitCode: 1,
  means: "the servers' firewall is shut on that port",
  says: /ends at firewall, by the model$/m,
};
const NO_CONNECTOR = { exitCode: 1, means: "the edge finds no connector", says: /^now, fail: 530, .*1033/m };
const NOT_ASKED = {
  exitCode: 1,
  means: "nobody is asked to log in, and the connector refuses",
  says: /^now, fail: 403, .* nobody is asked to log in/m,
};

/** `trivet trace`, which asks the emulated edge: this machine's DNS does not lead there. */
async function thenTraced(
  scene: Scene,
  url: string,
  { exitCode, means, says }: { exitCode: number; means: string; says: RegExp },
): Promise<void> {
  const authority = join(scene.rehearsal.directory, "edge-authority.pem");
  writeFileSync(authority, scene.rehearsal.door!.authorityPem);
  const run = await scene.trivet(["trace", url, "--connect-to", `${EDGE_ADDRESS}:443`], {
    NODE_EXTRA_CA_CERTS: authority,
  });
  scene.then(
    `that is: ${means} (exit code ${exitCode})`,
    run.exitCode === exitCode && says.test(run.stdout),
    `exit code ${run.exitCode}: ${run.stdout}${run.stderr}`,
  );
}

/** The zone and the account in Cloudflare's API, as their owner reaches them. */
const cloudflareOf = ({ rehearsal }: Scene) => {
  const { zoneId, accountId } = rehearsal.stack.cloudflare;
  return { api: rehearsal.client("cloudflare"), zone: `/zones/${zoneId}`, account: `/accounts/${accountId}` };
};

async function recordOf(scene: Scene, name: string): Promise<string> {
  const { api, zone } = cloudflareOf(scene);
  const { result } = await api.get<{ result: { id: string }[] }>(`${zone}/dns_records?name=${name}`);
  return `${zone}/dns_records/${result[0]!.id}`;
}

/** `kubectl scale`; Cloudflare counts as many connectors soon after. */
async function scaleConnectors(scene: Scene, whose: "users" | "operators", replicas: number): Promise<void> {
  const { name } = scene.rehearsal.stack;
  const tunnel = whose === "users" ? name : `${name}-operators`;
  const isTrue = (): boolean => {
    const { tunnels } = scene.rehearsal.cloudflare.state.accounts[0]!;
    const found = tunnels.find((one) => one.name === tunnel && one.deletedAt === null);
    return new Set(found?.connections.map(({ clientId }) => clientId)).size === replicas;
  };
  await scene.kubernetes("PATCH", `/apis/apps/v1/namespaces/edge/deployments/${whose}-connector/scale`, {
    type: "application/merge-patch+json",
    value: { spec: { replicas } },
  });
  await scene.until(`the tunnel ${tunnel} has ${replicas} connectors`, async () => isTrue());
}

/** Cloudflare publishes one range more, until it is taken back. */
function publishRange({ rehearsal }: Scene): () => void {
  const { ipv4 } = rehearsal.cloudflare.state.edgeRanges;
  ipv4.push(NEW_RANGE);
  return () => void ipv4.splice(ipv4.indexOf(NEW_RANGE), 1);
}

export const edgeDoctor: Story = {
  name: "edge-doctor",
  title: "what trivet doctor and trivet trace say of a living platform, of what was changed by hand, and a year later",
  stage: at("honeydue"),
  async play(scene) {
    const { rehearsal } = scene;
    const { domain } = rehearsal.platform;
    scene.given("a platform behind proxied records, as pulumi up has made it");
    await scene.thenWell();
    await thenDoctorFinds(scene, []);

    scene.when("somebody asks for the way of a URL");
    await thenTraced(scene, `https://api.${domain}/v1/things`, ANSWERED);
    await thenTraced(scene, `https://www.${domain}/a?b=c`, REDIRECTED);
    await thenTraced(scene, `https://admin.${domain}/`, GUARDED);
    await thenTraced(scene, `https://nobody.${domain}/`, NOBODY);
    await thenTraced(scene, `https://api.${domain}:2096/`, SHUT);

    scene.when(
      "Cloudflare publishes another range, and by hand: a record is made grey, TLS 1.0 is allowed, port 22 is opened to everybody, a connector is taken away",
    );
    const takeBack = publishRange(scene);
    const { api, zone } = cloudflareOf(scene);
    await api.send("PATCH", await recordOf(scene, `app.${domain}`), { proxied: false });
    await api.send("PATCH", `${zone}/settings/min_tls_version`, { value: "1.0" });
    await openSsh(scene);
    await scaleConnectors(scene, "operators", 1);
    await thenDoctorFinds(scene, ["ranges", "setting", "record", "connectors", "doors"]);

    scene.when(
      "Cloudflare's ranges are as they were, the connector comes back by kubectl, and the rest by what is advised",
    );
    takeBack();
    await scaleConnectors(scene, "operators", 2);
    await putBack(scene);
    await thenDoctorFinds(scene, []);

    scene.when(`${DAYS_AHEAD} days have passed, and nobody has run pulumi up`);
    await thenDoctorFinds(scene, ["days", "days"], DAYS_AHEAD);
    await scene.thenIdle();
  },
};

/** For everybody, in Hetzner's console. */
async function openSsh({ rehearsal }: Scene): Promise<void> {
  const api = rehearsal.client("hetzner");
  const { name } = rehearsal.platform;
  const { firewalls } = await api.get<{ firewalls: { id: number; rules: object[] }[] }>(`/firewalls?name=${name}`);
  const [{ id, rules }] = firewalls as [{ id: number; rules: object[] }];
  const ssh = { direction: "in", protocol: "tcp", port: "22", source_ips: ["0.0.0.0/0", "::/0"] };
  await api.send("POST", `/firewalls/${id}/actions/set_rules`, { rules: [...rules, ssh] });
}

export const edgeDoctorTunnel: Story = {
  name: "edge-doctor-tunnel",
  title: "the same behind a tunnel: connectors are gone, its rules are others, a guard is away",
  stage: at("hangangjari"),
  async play(scene) {
    const { rehearsal } = scene;
    const { domain } = rehearsal.platform;
    scene.given("a platform behind a tunnel, whose Kubernetes API is behind Cloudflare Access");
    await scene.thenWell();
    await thenDoctorFinds(scene, []);

    scene.when("somebody asks for the way of a URL");
    await thenTraced(scene, `https://api.${domain}/v1/things`, ANSWERED);
    await thenTraced(scene, `https://admin.${domain}/`, GUARDED);
    await thenTraced(scene, `https://${domain}/`, ANSWERED);

    scene.when("the users' connectors are taken away, and Cloudflare publishes another range, which concerns nobody");
    const takeBack = publishRange(scene);
    await scaleConnectors(scene, "users", 0);
    await thenDoctorFinds(scene, ["connectors"]);
    await thenTraced(scene, `https://api.${domain}/v1/things`, NO_CONNECTOR);
    takeBack();

    scene.when("at Cloudflare by hand: a record is deleted, the tunnel gets other rules, the admin's guard is deleted");
    const { api, account } = cloudflareOf(scene);
    await api.send("DELETE", await recordOf(scene, `api.${domain}`));
    const [tunnel] = rehearsal.cloudflare.state.accounts[0]!.tunnels.filter(({ name }) => name === "hangangjari");
    await api.send("PUT", `${account}/cfd_tunnel/${tunnel!.id}/configurations`, {
      config: { ingress: [{ service: "http_status:404" }] },
    });
    const { result } = await api.get<{ result: { id: string; domain: string }[] }>(`${account}/access/apps`);
    const guard = result.find((one) => one.domain === `admin.${domain}`);
    await api.send("DELETE", `${account}/access/apps/${guard!.id}`);
    await thenDoctorFinds(scene, ["access", "connectors", "record", "tunnel-rules"]);
    await thenTraced(scene, `https://admin.${domain}/`, NOT_ASKED);

    scene.when("what was changed is put back");
    await putBack(scene, "--run-program");
    await thenDoctorFinds(scene, []);
    await scene.thenIdle();
  },
};
