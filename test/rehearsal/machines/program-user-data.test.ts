import { criticalMismatches, criticalValues } from "../../../rehearsal/k3s/config";
import { nodeObject } from "../../../rehearsal/k3s/nodes/node";
import { readServerDefinition } from "../../../rehearsal/machines";
import { hardwareOf } from "../../../rehearsal/machines/hardware";
import { pooledPlatform } from "../../support/platform";
import { programMachines } from "./support/program-machines";

/** What the program writes and what the emulated servers read must fit together, without an engine between them. */
test("the emulated servers accept the user-data of a platform with agents, and the servers agree", async () => {
  const platform = pooledPlatform();
  const { machines } = await programMachines(platform, "127.50.1");
  const definitions = await Promise.all(machines.map((machine) => readServerDefinition(machine, new Date())));
  const [first] = definitions as [(typeof definitions)[0]];
  for (const definition of definitions.slice(1, platform.cluster.servers.length))
    expect(criticalMismatches(criticalValues(first.config), definition.config)).toEqual([]);
  for (const { serverAuthorityPem } of definitions) expect(serverAuthorityPem).toBe(first.serverAuthorityPem);
  expect(definitions.map(({ nodeName }) => nodeName)).toEqual(platform.cluster.nodes.map(({ hostname }) => hostname));
  expect(
    nodeObject({ ...first, version: first.release.version }, hardwareOf(machines[0]!)).metadata.labels,
  ).toMatchObject({
    "topology.kubernetes.io/region": platform.cluster.nodes[0]!.location,
  });
});
