import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { x } from "tinyexec";
import { ensureTools } from "../../rehearsal/toolchain";

export interface ClusterObject {
  kind: string;
  name: string;
  object: unknown;
}

/** Reads every object of every kind that the API server can list, with the real kubectl. */
export async function readAllObjects(kubeconfig: string): Promise<ClusterObject[]> {
  const { kubectl } = await ensureTools(["kubectl"]);
  const directory = mkdtempSync(join(tmpdir(), "trivet-kubectl-"));
  const config = join(directory, "kubeconfig");
  writeFileSync(config, kubeconfig, { mode: 0o600 });
  const run = async (...args: string[]): Promise<string> => {
    const { stdout, stderr, exitCode } = await x(kubectl.path, ["--kubeconfig", config, ...args]);
    if (exitCode !== 0) throw new Error(`kubectl ${args[0]}: ${stderr}`);
    return stdout;
  };
  try {
    const kinds = (await run("api-resources", "--verbs=list", "-o", "name")).trim().split("\n");
    const { items } = JSON.parse(await run("get", kinds.join(","), "--all-namespaces", "-o", "json")) as {
      items: { kind: string; metadata: { name: string } }[];
    };
    return items.map((object) => ({ kind: object.kind, name: object.metadata.name, object }));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
