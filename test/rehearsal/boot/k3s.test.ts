import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildK3s } from "../../../rehearsal/boot";
import { machineTools } from "../machines/support/tools";
import { BootedCluster, whyNotHere } from "./support/cluster";

const obstacle = whyNotHere();
if (obstacle !== undefined) console.warn(`Skipped: ${obstacle}`);

(obstacle === undefined ? describe : describe.skip)("k3s", () => {
  let cluster: BootedCluster;
  beforeAll(async () => {
    cluster = await BootedCluster.open(
      "127.55.2",
      await buildK3s(mkdtempSync(join(tmpdir(), "k3s-"))),
      await machineTools(),
    );
  }, 60_000);
  afterAll(async () => {
    await cluster?.machines.close();
  }, 60_000);

  test("x", async () => {
    const t = performance.now();
    await Promise.all(cluster.servers.map((s) => cluster.machines.powerOn(s)));
    try {
      await cluster.until(
        "active",
        async () => (await cluster.run("a", "systemctl is-active k3s || true")) === "active\n",
        60,
      );
      console.log("a active", (performance.now() - t) / 1000);
      await cluster.until(
        "all",
        async () =>
          (
            await Promise.all((["a", "b", "c"] as const).map((n) => cluster.run(n, "systemctl is-active k3s || true")))
          ).every((x) => x === "active\n"),
        60,
      );
    } finally {
      console.log((performance.now() - t) / 1000);
      for (const n of ["a", "b", "c"] as const)
        console.log(
          await cluster.run(
            n,
            "journalctl -u k3s -o cat --no-pager | cut -c1-300 | tail -40; ls /var/log/k3s-stand-in; free -m",
          ),
        );
    }
  }, 180_000);
});
