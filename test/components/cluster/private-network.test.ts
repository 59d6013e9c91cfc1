import { attachMissing } from "../../../components/cluster/private-network";
import { notingCloud } from "../../support/noting-cloud";

describe("a server whose create ended half way", () => {
  const networks = [{ subnetId: "7-10.0.1.0/24", ip: "10.0.1.11" }];

  test("is attached to the network it lacks", async () => {
    const api = notingCloud({ "/servers/42": { server: { private_net: [] } } });
    await attachMissing(api, "42", networks);
    expect(api.writes).toEqual(['POST /servers/42/actions/attach_to_network {"network":7,"ip":"10.0.1.11"}']);
  });

  test("is left alone when it has its network", async () => {
    const api = notingCloud({ "/servers/42": { server: { private_net: [{ network: 7 }] } } });
    await attachMissing(api, "42", networks);
    expect(api.writes).toEqual([]);
  });
});
