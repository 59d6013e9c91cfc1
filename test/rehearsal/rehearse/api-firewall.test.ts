import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createProject, type Project } from "../../../rehearsal/emulators/hetzner/project";
import type { Machine, MachineHost } from "../../../rehearsal/emulators/hetzner";
import { ApiFirewall } from "../../../rehearsal/rehearse/api-firewall";

const PUBLIC = "127.61.9.11";

describe("the firewall in front of emulated API servers", () => {
  let folder: string;
  let project: Project;
  let firewall: ApiFirewall;
  let api: Server;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "trivet-firewall-"));
    project = createProject();
    project.servers.set(7, { id: 7, name: "a", labels: {}, privateNets: [{ networkId: 1, ip: "10.0.1.11" }] } as never);
    project.primaryIps.set(8, { id: 8, type: "ipv4", ip: PUBLIC, assigneeId: 7 } as never);
    rules([]);
    firewall = new ApiFirewall(() => project, folder, true);
    api = createServer((socket) => socket.end("the API"));
    await new Promise<void>((done) => api.listen(6443, firewall.listensAt(PUBLIC), done));
    const machines = { powerOn: () => Promise.resolve() } as unknown as MachineHost;
    await firewall.before(machines).powerOn({ publicIpv4: PUBLIC } as Machine);
  });
  afterEach(async () => {
    await firewall.close();
    await new Promise((done) => api.close(done));
    rmSync(folder, { recursive: true, force: true });
  });

  const rules = (all: readonly object[]): void =>
    void project.firewalls.set(9, { id: 9, rules: all, targets: [{ type: "server", server: { id: 7 } }] } as never);
  /** What a connection brings; without a limit where something must come. */
  const heard = (host: string, forMilliseconds?: number): Promise<string> =>
    new Promise((done) => {
      const socket = connect({ host, port: 6443 });
      const end = (text: string): void => {
        clearTimeout(silence);
        socket.destroy();
        done(text);
      };
      const silence = forMilliseconds === undefined ? undefined : setTimeout(() => end("nothing"), forMilliseconds);
      socket.once("data", (part) => end(part.toString()));
      socket.on("error", ({ message }) => end(message));
    });

  test("swallows what no rule lets in: no answer, and no refusal either", async () => {
    expect(await heard(PUBLIC, 500)).toBe("nothing");
  });

  test("lets through while a rule names the API's port, and not a moment longer", async () => {
    rules([{ direction: "in", protocol: "tcp", port: "6443", source_ips: ["203.0.113.7/32"] }]);
    expect(await heard(PUBLIC)).toBe("the API");
    rules([{ direction: "in", protocol: "tcp", port: "443", source_ips: ["0.0.0.0/0"] }]);
    expect(await heard(PUBLIC, 500)).toBe("nothing");
  });

  test("tells connectors on the servers where private addresses lead", () => {
    expect(JSON.parse(readFileSync(firewall.servicesFile, "utf8"))).toEqual({
      "10.0.1.11:6443": [`${firewall.listensAt(PUBLIC)}:6443`],
    });
    expect(firewall.listensAt(PUBLIC)).not.toBe(PUBLIC);
  });
});
