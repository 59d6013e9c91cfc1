import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildK3s } from "../../../rehearsal/boot";
import { machineTools } from "../machines/support/tools";
import { BootedCluster, whyNotHere } from "./support/cluster";

const obstacle = whyNotHere();
if (obstacle !== undefined) console.warn(`Skipped: ${obstacle}`);

interface NodeList {
  items: {
    metadata: { name: string };
    status: { conditions?: { type: string; status: string }[]; nodeInfo: { kubeletVersion: string } };
  }[];
}

(obstacle === undefined ? describe : describe.skip)(
  "the stand-in of K3s, downloaded and started by the user-data",
  () => {
    let folder: string;
    let cluster: BootedCluster;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "trivet-boot-k3s-"));
      cluster = await BootedCluster.open("127.55.2", await buildK3s(folder), await machineTools());
    });
    afterAll(async () => {
      await cluster?.machines.close();
      rmSync(folder, { recursive: true, force: true });
    });

    test("forms one cluster of three voters, whose API this machine reaches at each server's address", async () => {
      await Promise.all(cluster.servers.map((server) => cluster.machines.powerOn(server)));
      for (const name of ["a", "b", "c"] as const) {
        const nodes = await cluster.until(
          `the API of ${name} knows three nodes that are Ready and vote`,
          async () => {
            const { items = [] } = (await cluster.ask<NodeList>(name, "/api/v1/nodes")) ?? {};
            const isSo = (type: string, node: NodeList["items"][number]): boolean =>
              node.status.conditions?.some((condition) => condition.type === type && condition.status === "True") ??
              false;
            return items.filter((node) => isSo("Ready", node) && isSo("EtcdIsVoter", node)).length === 3 && items;
          },
          90,
        );
        expect(nodes.map(({ metadata }) => metadata.name).sort()).toEqual(cluster.servers.map((server) => server.name));
        expect(new Set(nodes.map(({ status }) => status.nodeInfo.kubeletVersion))).toEqual(
          new Set([cluster.platform.cluster.k3s.version]),
        );
        expect(await cluster.run(name, "systemctl is-active k3s; systemctl --failed --plain --no-legend")).toBe(
          "active\n",
        );
      }
      expect(cluster.console("a")).toContain("k3s stand-in of Trivet's rehearsal");
    });
  },
);
