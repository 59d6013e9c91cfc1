import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { askFromPod, askFromServer, USER_DATA_URL } from "../../../rehearsal/boot";
import { BRIDGE_MAC } from "../../../rehearsal/boot/network";
import { BootedCluster, whyNotHere } from "./support/cluster";

const obstacle = whyNotHere();
if (obstacle !== undefined) console.warn(`Skipped: ${obstacle}`);

/** Somewhere else in the internet, as servers see it. */
const ELSEWHERE = "http://198.51.100.1/k3s";

/** One bring-up, told in order: each test begins where the one before it ended. */
(obstacle === undefined ? describe : describe.skip)("three servers that really boot", () => {
  let cluster: BootedCluster;
  let outside: Server;
  /** Which cluster a server's K3s serves since its last power on, and how it came into it. */
  const serves = (name: "a" | "b" | "c") => (): [cluster: string, how: string] | undefined => {
    const [, identity, how] = /small k3s: serves (\S+) (.*) \{/.exec(cluster.bootOf(name)) ?? [];
    return identity !== undefined && how !== undefined ? [identity, how] : undefined;
  };

  beforeAll(async () => {
    cluster = await BootedCluster.open("127.55.0", join(__dirname, "support/small-k3s.py"));
    outside = createServer((_, response) => response.end("hello, server"));
    await new Promise<void>((resolve) => outside.listen(0, "127.0.0.1", resolve));
    await cluster.machines.letReach({ host: "127.0.0.1", port: (outside.address() as AddressInfo).port });
  });
  afterAll(async () => {
    outside?.close();
    await cluster?.machines.close();
  });

  test("a server waits for its private network, and finds it by its address when it is plugged in", async () => {
    await cluster.machines.powerOn({ ...cluster.server("c"), privateNetworks: [] });
    cluster.machines.setFault(cluster.server("b").id, "bad checksum"); // of the next test: the two boot together
    await cluster.machines.powerOn(cluster.server("b"));
    const waiting = await cluster.until("c answers", () => cluster.status("c"));
    expect(waiting).toMatchObject({ node: "honeydue-c", stage: "network", fresh: true, generation: 1 });
    expect(waiting.reason).toContain("10.0.1.13");
    await cluster.machines.interfacesChanged!(cluster.server("c"));
    await cluster.until("c is past its network", async () => (await cluster.status("c"))?.stage === "rendezvous");
    expect(await cluster.run("c", "cat /etc/rancher/k3s/config.yaml.d/10-net.yaml")).toBe(
      "node-ip: 10.0.1.13\nflannel-iface: enp7s0\nadvertise-address: 10.0.1.13\n",
    );
  });

  test("a K3s with another checksum is thrown away, said, and had once the release site is sane", async () => {
    const failed = await cluster.until("b has failed", async () => {
      const status = await cluster.status("b");
      return status?.stage === "failed" && status;
    });
    expect(failed.reason).toMatch(
      /^http:\/\/198\.51\.100\.1\/k3s: sha256 is [0-9a-f]{64}, wanted [0-9a-f]{64}: thrown away$/,
    );
    expect(await cluster.run("b", "ls -A /usr/local/bin")).toBe("");
    expect(cluster.console("b")).toContain(`trivet: failed: ${failed.reason}`);
    cluster.machines.setFault(cluster.server("b").id, undefined);
    await cluster.until("b is past its download", async () => (await cluster.status("b"))?.stage === "rendezvous");
  });

  test("the last of three fresh servers is a, which initialises; the others join it", async () => {
    const waiting = await cluster.until("b and c see one another", async () => {
      const status = await cluster.status("c");
      return status?.reason.startsWith("honeydue-a: it does not answer") && status;
    });
    expect(waiting.reason).not.toContain("honeydue-b");
    await cluster.machines.powerOn(cluster.server("a"));
    const [identity, how] = await cluster.until("a serves", serves("a"));
    expect(how).toBe("as the first member");
    for (const name of ["b", "c"] as const)
      expect(await cluster.until(`${name} serves`, serves(name))).toEqual([identity, "joined https://10.0.1.11:6443"]);
  });

  test("what the user-data asks for is so: no failed unit, no way in, kernel settings, limits", async () => {
    for (const name of ["a", "b", "c"] as const) {
      expect(await cluster.run(name, "cloud-init status --wait | tail -1")).toBe("status: done\n");
      expect(await cluster.run(name, "systemctl --failed --plain --no-legend")).toBe("");
      expect(await cluster.run(name, "systemctl is-active k3s ssh systemd-journald || true")).toBe(
        "active\ninactive\nactive\n",
      );
      expect(await cluster.run(name, "passwd --status root | cut -d' ' -f2")).toBe("L\n");
      expect(await cluster.run(name, "cd /proc/sys; cat vm/overcommit_memory kernel/panic net/ipv4/ip_forward")).toBe(
        "1\n10\n1\n",
      );
      expect(await cluster.run(name, "systemd-analyze cat-config systemd/journald.conf | grep ^SystemMaxUse")).toBe(
        "SystemMaxUse=500M\n",
      );
      expect(
        await cluster.run(
          name,
          "stat -c %a /etc/rancher/k3s/config.yaml /var/lib/rancher/k3s/server/tls/server-ca.key",
        ),
      ).toBe("600\n600\n");
    }
  });

  test("neither a pod nor the server itself can ask the metadata service, for nothing but the firewall", async () => {
    const { id } = cluster.server("a");
    const asPod = (url: string): Promise<string> => askFromPod(cluster.machines, id, url);
    expect(await asPod(USER_DATA_URL)).toMatch(/^refused:/);
    expect(await askFromServer(cluster.machines, id, USER_DATA_URL)).toMatch(/^refused:/);
    expect(await asPod(ELSEWHERE)).toBe("#!/usr/bin/en");
    await cluster.run("a", "nft delete table inet trivet");
    expect(await asPod(USER_DATA_URL)).toBe("#cloud-config");
    await cluster.run("a", "nft -f /etc/trivet/host.nft");
    expect(await asPod(USER_DATA_URL)).toMatch(/^refused:/);
  });

  test("a server reaches of this machine what it may, under the same address, and nothing else", async () => {
    const { port } = outside.address() as AddressInfo;
    const asked = (url: string): Promise<string> => askFromServer(cluster.machines, cluster.server("b").id, url);
    // The first to ask has systemd start what passes it on; a busy machine takes longer for that than anybody waits.
    await cluster.until("it answers", async () => (await asked(`http://127.0.0.1:${port}`)) === "hello, server");
    const other = createServer((_, response) => response.end("not for servers"));
    await new Promise<void>((resolve) => other.listen(0, resolve));
    try {
      for (const host of ["127.0.0.1", "172.31.1.1", "198.51.100.1"])
        expect(await asked(`http://${host}:${(other.address() as AddressInfo).port}`)).toMatch(/^refused:/);
    } finally {
      other.close();
    }
  });

  test("after a power cut, and after a reboot from within, a server starts with its data, and its firewall and kernel settings are back", async () => {
    const [identity] = await cluster.until("a serves", serves("a"));
    const { id } = cluster.server("a");
    await cluster.run("b", "systemctl reboot");
    await cluster.machines.powerOff({ id });
    await cluster.machines.powerOn(cluster.server("a"));
    expect(await cluster.until("a serves again", serves("a"))).toEqual([identity, "with its own data"]);
    expect(await askFromPod(cluster.machines, id, USER_DATA_URL)).toMatch(/^refused:/);
    expect(await askFromServer(cluster.machines, id, USER_DATA_URL)).toMatch(/^refused:/);
    expect(await askFromPod(cluster.machines, id, ELSEWHERE)).toBe("#!/usr/bin/en");
    expect(await cluster.run("a", "cat /proc/sys/vm/overcommit_memory")).toBe("1\n");
    const isNew = (): boolean => cluster.console("b").split("rehearsal: power on").length > 2;
    await cluster.until("b has rebooted", isNew);
    expect(await cluster.until("b serves again", serves("b"))).toEqual([identity, "with its own data"]);
    expect(await askFromPod(cluster.machines, cluster.server("b").id, USER_DATA_URL)).toMatch(/^refused:/);
    expect(cluster.bootOf("a")).toContain("trivet: start: K3s has data here: it starts with what it has");
  });

  test("at the power button a server ends what runs on it, and starts again with its data", async () => {
    const [identity] = await cluster.until("c serves", serves("c"));
    const { id } = cluster.server("c");
    await cluster.machines.shutdown({ id });
    expect(cluster.machines.console(id).at(-1)).toBe("rehearsal: power off");
    // Whichever server is unplugged, the others find the gateway where they found it before.
    expect(await cluster.run("a", "ip neighbour show dev eth0")).toContain(`lladdr ${BRIDGE_MAC}`);
    await cluster.machines.powerOn(cluster.server("c"));
    expect(await cluster.until("c serves again", serves("c"))).toEqual([identity, "with its own data"]);
    expect(await cluster.run("c", "journalctl --quiet --unit k3s.service --grep 'Stopped|Deactivated'")).toMatch(/k3s/);
  });

  test("a, rebuilt while b and c are down, never begins a second cluster; it joins the first that is back", async () => {
    const [identity] = await cluster.until("b serves", serves("b"));
    for (const name of ["a", "b", "c"] as const) await cluster.machines.powerOff({ id: cluster.server(name).id });
    await cluster.machines.rebuild(cluster.server("a"));
    await cluster.machines.powerOn(cluster.server("a"));
    const waiting = await cluster.until("a has asked b and c several times", async () => {
      const status = await cluster.status("a");
      return status?.stage === "rendezvous" && status.seconds >= 4 && status;
    });
    expect(waiting).toMatchObject({ fresh: true });
    expect(waiting.reason).toMatch(/honeydue-b: it does not answer.*honeydue-c: it does not answer/);
    expect(await cluster.run("a", "ls /etc/rancher/k3s/config.yaml.d")).toBe("10-net.yaml\n");
    await cluster.machines.powerOn(cluster.server("b"));
    expect(await cluster.until("a serves", serves("a"))).toEqual([identity, "joined https://10.0.1.12:6443"]);
  });
});
