import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { type AcmeServer, startAcmeServer } from "../../acme";
import { ensureTools } from "../../toolchain";
import type { Scene } from "../scene";
import type { Story } from "../story";

const LEAF = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/;
const SECRET = "/api/v1/namespaces/ingress/secrets/public-certificate";

/** `trivet certificate`, led to the rehearsal's ACME server as an option leads it to another authority than Let's Encrypt. */
const ordered = (scene: Scene, { directoryUrl, nameServer, authorityFile }: AcmeServer, ...args: string[]) =>
  scene.trivet(["certificate", "--directory", directoryUrl, "--name-server", nameServer.address, ...args], {
    NODE_EXTRA_CA_CERTS: authorityFile,
  });

/** What Traefik would show in an emergency, as the cluster holds it. */
async function inCluster(scene: Scene): Promise<string> {
  const { data } = await scene.kubernetes<{ data: { "tls.crt": string } }>("GET", SECRET);
  return Buffer.from(data["tls.crt"], "base64").toString("utf8");
}

export const certificate: Story = {
  name: "certificate",
  title: "trivet certificate: by ACME and the zone's own records, into the cluster, and renewed when it is due",
  stage: { config: {} },
  async play(scene) {
    const { rehearsal } = scene;
    const up = await scene.up({ args: ["--skip-preview"] });
    scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
    const { pebble } = await ensureTools(["pebble"], { signal: scene.signal });
    const directory = join(rehearsal.directory, "acme");
    const server = await startAcmeServer({ pebble: pebble.path, directory, zones: rehearsal.cloudflare.state });
    try {
      scene.given("a platform without a public certificate, and pebble as the authority");
      const none = await scene.trivet(["certificate", "--check"]);
      scene.then("trivet certificate --check says that there is none, and ends with 1", none.exitCode === 1);

      const records = (): number => rehearsal.cloudflare.state.zones[0]!.dnsRecords.length;
      const before = records();
      const first = await ordered(scene, server, "--agree-tos", "--contact", "ops@honeydue.example");
      scene.must("trivet certificate ended well", first.exitCode === 0, first.stderr);
      scene.then(`the zone has its ${before} records as before`, records() === before, String(records()));
      const taken = await scene.up({ args: ["--skip-preview"] });
      scene.must("pulumi up ended well", taken.ok, taken.errors.join("\n"));
      const pem = await inCluster(scene);
      const chain = [...pem.matchAll(new RegExp(LEAF, "g"))].map(([one]) => new X509Certificate(one));
      const issuers = [...chain.slice(1), new X509Certificate(await server.rootPem())];
      const zone = rehearsal.stack.cloudflare.zoneName;
      scene.then(
        `the cluster has a certificate of ${zone} and *.${zone} that ends at the authority's root`,
        chain[0]!.checkHost(zone) !== undefined &&
          chain[0]!.checkHost(`api.${zone}`) !== undefined &&
          chain.every((one, index) => one.verify(issuers[index]!.publicKey)),
        chain[0]!.subjectAltName,
      );

      const idle = await ordered(scene, server, "--renew");
      scene.then(
        "trivet certificate --renew does nothing, for nothing is due",
        idle.exitCode === 0 && idle.stderr.includes("Nothing is due"),
      );
      const now = Date.now();
      await server.suggestRenewal(LEAF.exec(pem)![0], {
        start: new Date(now - 7_200_000),
        end: new Date(now - 3_600_000),
      });
      scene.when("the authority asks to renew it at once, as before a revocation (ARI)");
      const renewed = await ordered(scene, server, "--renew");
      scene.must("trivet certificate --renew ended well", renewed.exitCode === 0, renewed.stderr);
      const again = await scene.up({ args: ["--skip-preview"] });
      scene.must("pulumi up ended well", again.ok, again.errors.join("\n"));
      scene.then("the cluster has the new one", (await inCluster(scene)) !== pem);
      scene.then(
        "nothing else was touched: no server, no workload",
        again.changes.replace === undefined && (again.changes.update ?? 0) === 1,
        JSON.stringify(again.changes),
      );
      const well = await scene.trivet(["certificate", "--check"]);
      scene.then("trivet certificate --check ends with 0", well.exitCode === 0, well.stdout);
      await scene.thenWell();
      await scene.thenIdle();
    } finally {
      await server.close();
    }
  },
};
