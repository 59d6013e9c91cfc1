/**
 * Started by wire.test.ts; in a private network: one server's network with a real program in it, asked from several addresses. Prints
 * what it saw as JSON.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createProject, type FirewallRule, type Project } from "../../../rehearsal/emulators/hetzner/project";
import type { KubernetesApi } from "../../../rehearsal/k3s/kubernetes-api";
import { ProcessRegister } from "../../../rehearsal/k3s/processes";
import { programPlay } from "../../../rehearsal/pods/container";
import type { Pod } from "../../../rehearsal/pods/pod";
import { PodVolumes } from "../../../rehearsal/pods/volumes";
import { ensureTools } from "../../../rehearsal/toolchain";
import {
  CLOUDFLARE_ADDRESSES,
  CLOUDFLARE_ADDRESSES_IPV6,
  STRANGER_ADDRESS,
  STRANGER_ADDRESS_IPV6,
} from "../../../rehearsal/wire/addresses";
import { isInPrivateNetwork, runInPrivateNetwork } from "../../../rehearsal/wire/private-network";
import { Wire } from "../../../rehearsal/wire/wire";

const PUBLIC = "203.0.113.11";
const PUBLIC_IPV6 = "2001:db8:0:1::1";
const PRIVATE = "10.0.1.11";
const PORT = 8443;

const rule = (source: string): FirewallRule => ({
  direction: "in",
  protocol: "tcp",
  port: `${PORT}`,
  source_ips: [source],
  destination_ips: [],
  description: null,
});

/** The status, or how the attempt ended. */
const ask = (host: string, localAddress?: string): Promise<number | string> =>
  new Promise((resolve) => {
    const asked = request(
      { host, port: PORT, path: "/health", agent: false, timeout: 700, localAddress },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    asked.once("timeout", () => asked.destroy(new Error("no answer")));
    asked.once("error", (error) => resolve(error.message));
    asked.end();
  });

/** 200 as soon as it comes; else how the last attempt ended, after so many that no machine is too slow. */
async function answers(attempt: () => Promise<number | string>): Promise<number | string> {
  for (let left = 60; ; left--) {
    const ended = await attempt();
    if (ended === 200 || left === 0) return ended;
    await delay(100);
  }
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "trivet-wire-"));
  const project: Project = createProject();
  const named = { name: "a", labels: {}, created: "" };
  project.servers.set(1, { ...named, id: 1 } as never);
  project.primaryIps.set(2, { ...named, id: 2, type: "ipv4", ip: PUBLIC, assigneeId: 1 } as never);
  project.primaryIps.set(4, { ...named, id: 4, type: "ipv6", ip: "2001:db8:0:1::/64", assigneeId: 1 } as never);
  const targets = [{ type: "server" as const, server: { id: 1 } }];
  project.firewalls.set(3, { ...named, id: 3, rules: [rule("173.245.48.0/20"), rule("2400:cb00::/32")], targets });
  const register = new ProcessRegister(folder);
  const wire = new Wire(() => project);
  const { etcd } = await ensureTools(["etcd"]);
  try {
    const place = await wire.plugIn(
      {
        name: "a",
        publicAddress: PUBLIC,
        privateAddress: PRIVATE,
        podCidr: "10.42.0.0/16",
        serviceAddress: "10.43.0.1",
        servesApi: false,
      },
      register,
      join(folder, "network.log"),
    );
    const pod: Pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "etcd", namespace: "default", uid: "1" },
      spec: {
        hostNetwork: true,
        volumes: [{ name: "data", emptyDir: {} }],
        containers: [
          {
            name: "etcd",
            image: "etcd:1",
            args: [
              "--data-dir=/data/etcd",
              "--listen-client-urls=http://[::]:8443",
              "--advertise-client-urls=http://$(ADDRESS):8443",
            ],
            volumeMounts: [{ name: "data", mountPath: "/data" }],
            securityContext: {
              readOnlyRootFilesystem: true,
              capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] },
            },
          },
        ],
      },
    };
    const addresses = { podIP: PRIVATE, hostIP: PRIVATE };
    const volumes = new PodVolumes({} as KubernetesApi, pod, join(folder, "volumes"), addresses);
    await volumes.refresh();
    const started = await programPlay({ path: etcd.path }, () => true).start({
      pod,
      place,
      podIP: PRIVATE,
      volumes,
      environment: new Map([["etcd", { ADDRESS: PRIVATE }]]),
      register,
      folder: join(folder, "container"),
      logFile: join(folder, "etcd.log"),
    });
    const ways = [
      { host: PUBLIC, cloudflare: CLOUDFLARE_ADDRESSES[0], stranger: STRANGER_ADDRESS },
      { host: PUBLIC_IPV6, cloudflare: CLOUDFLARE_ADDRESSES_IPV6[0], stranger: STRANGER_ADDRESS_IPV6 },
    ].slice(0, existsSync("/proc/net/if_inet6") ? 2 : 1);
    const visits: Record<string, unknown>[] = [];
    const privately = await answers(() => ask(PRIVATE));
    for (const { host, cloudflare, stranger } of ways)
      visits.push({ cloudflare: await answers(() => ask(host, cloudflare)), stranger: await ask(host, stranger) });
    project.firewalls.get(3)!.rules = [rule("0.0.0.0/0"), rule("::/0")];
    for (const [index, { host, stranger }] of ways.entries())
      visits[index]!["strangerAfterwards"] = await answers(() => ask(host, stranger));
    const [ipv4, ipv6] = visits;
    const seen: Record<string, unknown> = { privately, ...ipv4, ...(ipv6 && { ipv6 }) };
    const children = execFileSync("pgrep", ["-f", `listen-client-urls=http://.*:${PORT}`], { encoding: "utf8" });
    const pid = children.trim().split("\n")[0]!;
    seen["status"] = readFileSync(`/proc/${pid}/status`, "utf8")
      .split("\n")
      .filter((line) => /^(CapEff|CapBnd|NoNewPrivs)/.test(line))
      .map((line) => line.replace(/\s+/, " "));
    seen["commandLine"] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").filter(Boolean);
    const ended = started.ended;
    await started.stop(5);
    seen["exitCode"] = await ended;
    seen["afterwards"] = await ask(PUBLIC, CLOUDFLARE_ADDRESSES[0]);
    await place.unplug();
    console.log(JSON.stringify(seen));
  } catch (error) {
    console.error(readFileSync(join(folder, "etcd.log"), "utf8").slice(-2000));
    throw error;
  } finally {
    await wire.close();
    register.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

// Started in the open, it goes in first.
if (isInPrivateNetwork()) void main();
else void runInPrivateNetwork().then((code) => (process.exitCode = code));
