import { cloudApi } from "../../../../components/cloud-api";
import { systemClock } from "../../../../components/cluster/roll/clock";
import { HetznerServers } from "../../../../components/cluster/roll/hetzner-servers";
import type { PropertyMap } from "../../../../rehearsal/providers/protocol/provider";
import { TOKEN, World } from "../../../rehearsal/providers/hcloud/world";
import { LIMITS } from "./fake-cluster";

/** The roll and the provider, one after the other at the same emulated Hetzner, as in one turn. */
let world: World;
let cloud: HetznerServers;
beforeEach(async () => {
  world = await World.start();
  const api = cloudApi({ baseUrl: `${world.emulator.url}/v1`, token: TOKEN });
  cloud = new HetznerServers(api, systemClock, { ...LIMITS, period: 0.01 });
});
afterEach(() => world.close());

test("IPv6 on and off: a disk first boots with what the provider then finds to do, and every address stays the same", async () => {
  const [ipv4, ipv6] = [
    await world.create("PrimaryIp", { name: "a", type: "ipv4", location: "nbg1" }),
    await world.create("PrimaryIp", { name: "a-ipv6", type: "ipv6", location: "nbg1" }, "six"),
  ].map(({ id }) => Number(id)) as [number, number];
  const inputs = (on: boolean): PropertyMap => ({
    name: "a",
    serverType: "cx33",
    image: "ubuntu-24.04",
    location: "nbg1",
    publicNets: [{ ipv4Enabled: true, ipv4, ipv6Enabled: on, ...(on ? { ipv6 } : {}) }],
  });
  const rebuilt = (on: boolean) =>
    cloud.rebuild(id, {
      image: "ubuntu-24.04",
      userData: `#cloud-config\n# ${on ? "both" : "one"}\n`,
      addresses: { ipv4, ipv6: on ? ipv6 : undefined },
    });
  const address = () => cloud.ipv6AddressOf(id);
  const made = await world.create("Server", inputs(false));
  const id = Number(made.id);

  await rebuilt(true);
  expect(await address()).toBe("2001:db8:0:1::1");
  await cloud.takeIpv6(id);
  expect(await address()).toBeUndefined();
  const on = await world.update("Server", made, inputs(true));
  expect([await address(), on.state["ipv4Address"], on.state["ipv6Address"], on.state["status"]]).toEqual([
    "2001:db8:0:1::1",
    made.state["ipv4Address"],
    "2001:db8:0:1::1",
    "running",
  ]);

  await rebuilt(false);
  expect(await address()).toBeUndefined();
  const off = await world.update("Server", on, inputs(false));
  expect([off.state["ipv4Address"], off.state["ipv6Address"], off.state["status"]]).toEqual([
    made.state["ipv4Address"],
    "",
    "running",
  ]);
  // Theirs to delete is the engine's, at the end of the run.
  expect((await world.inventory())["primary_ips"]).toBe(2);
});
