import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SCRIPT = join(__dirname, "../../../components/cluster/node/renew.sh");
const describeScript = spawnSync("openssl", ["version"]).status === 0 ? describe : describe.skip;

describeScript("the script that starts K3s again before its certificates end", () => {
  let folder: string;
  const certificate = (name: string, days: number): void => {
    const { status, stderr } = spawnSync(
      "openssl",
      [
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", String(days)],
        ...[
          "-subj",
          "/CN=test",
          "-keyout",
          join(folder, "key"),
          "-out",
          join(folder, `var/lib/rancher/k3s/${name}.crt`),
        ],
      ],
      { encoding: "utf8" },
    );
    if (status !== 0) throw new Error(stderr);
  };
  const command = (name: string, text: string): void => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  /** What `systemctl` was told, and what was said. */
  const run = (unit: string, voters: string): [called: string | undefined, said: string] => {
    command("k3s", `printf '${voters}'`);
    const { stdout, stderr, status } = spawnSync(SCRIPT, [unit], {
      encoding: "utf8",
      env: { PATH: `${folder}:${process.env["PATH"]}`, TRIVET_ROOT: folder },
    });
    expect([status, stderr]).toEqual([0, ""]);
    const called = join(folder, "called");
    return [existsSync(called) ? readFileSync(called, "utf8").trim() : undefined, stdout];
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "trivet-renew-"));
    for (const part of ["server/tls/etcd", "agent"])
      mkdirSync(join(folder, "var/lib/rancher/k3s", part), { recursive: true });
    command("systemctl", `echo "$@" > ${join(folder, "called")}`);
    certificate("server/tls/serving-kube-apiserver", 100);
    certificate("agent/client-kubelet", 100);
    certificate("server/tls/server-ca", 30); // whoever is started again cannot renew an authority
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("does nothing while they last", () => {
    expect(run("k3s", "True\\nTrue\\nTrue\\n")).toEqual([undefined, ""]);
  });

  test("starts K3s again when one of them ends within 90 days", () => {
    certificate("server/tls/etcd/client", 80);
    const [called, said] = run("k3s", "True\\nTrue\\nTrue\\n");
    expect(called).toBe("restart --no-block k3s");
    expect(said).toMatch(/etcd\/client\.crt ends within 90 days: starting K3s again/);
  });

  test.each([
    ["a member is not well", "True\\nFalse\\nTrue\\n"],
    ["a member says nothing of itself", "True\\n\\nTrue\\n"],
    ["nobody answers", ""],
  ])("waits where %s: two of three must stay", (_what, voters) => {
    certificate("agent/client-kubelet", 80);
    expect(run("k3s", voters)[0]).toBeUndefined();
  });

  test("asks nobody on an agent, which carries no quorum", () => {
    certificate("agent/client-kubelet", 80);
    expect(run("k3s-agent", "")[0]).toBe("restart --no-block k3s-agent");
  });
});
