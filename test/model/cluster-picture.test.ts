import { clusterPicture } from "../../model/cluster-picture";
import { pooledPlatform, singleNodePlatform } from "../support/platform";

test("the cluster's picture has every node in its placement group, and every door", () => {
  const platform = pooledPlatform();
  const drawn = clusterPicture(platform);
  for (const { hostname, privateAddress } of platform.cluster.nodes)
    expect(drawn.split("\n").filter((line) => line.includes(hostname) && line.includes(privateAddress))).toHaveLength(
      1,
    );
  for (const { name, nodes } of platform.cluster.placementGroups)
    expect(drawn.includes(`spread placement group ${name}"`)).toBe(nodes.length > 0);
  expect(drawn.match(/etcd 2379/g)).toHaveLength(3);
  expect(drawn.match(/operators -->/g)).toHaveLength(3);
  expect(clusterPicture(platform)).toBe(drawn);
});

test("a single server has nobody to share etcd with", () => {
  expect(clusterPicture(singleNodePlatform())).not.toContain("etcd 2379");
});
