import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Testing } from "cdk8s";
import { MaintenanceChart } from "../../../components/ingress/charts/maintenance";
import { nginxPlay, readConfig } from "../../../rehearsal/pods/nginx";
import type { PlayedProcess, Stage } from "../../../rehearsal/pods/play";
import type { Pod } from "../../../rehearsal/pods/pod";
import { referencePlatform } from "../../model/platforms.fixture";

const ADDRESS = "127.64.0.21";

/** What the chart renders, as a kubelet would mount it. */
const objects = Testing.synth(
  new MaintenanceChart(Testing.app(), "maintenance", referencePlatform("farm", { maintenance: ["*"] })),
) as { kind: string; data: Record<string, string>; spec: { template: { spec: Pod["spec"] } } }[];
const { data } = objects.find(({ kind }) => kind === "ConfigMap")!;
const { spec } = objects.find(({ kind }) => kind === "Deployment")!.spec.template;

describe("the stand-in for nginx, with the files of the maintenance page", () => {
  const folder = mkdtempSync(join(tmpdir(), "trivet-nginx-"));
  const ask = (path: string, method = "GET"): Promise<Response> => fetch(`http://${ADDRESS}:8080${path}`, { method });
  let played: PlayedProcess;

  beforeAll(async () => {
    for (const { name, configMap } of spec.volumes ?? []) {
      mkdirSync(join(folder, name));
      for (const { key, path } of configMap?.items ?? []) writeFileSync(join(folder, name, path), data[key]!);
    }
    const pod = { metadata: { name: "maintenance-1" }, spec } as Pod;
    expect(nginxPlay.matches(pod)).toBe(true);
    const volumes = { at: (name: string) => join(folder, name) };
    played = await nginxPlay.start({ pod, volumes, podIP: ADDRESS } as unknown as Stage);
  });
  afterAll(async () => {
    await played?.stop(0);
    rmSync(folder, { recursive: true, force: true });
  });

  test("whatever is asked, the page says 503, when to come again, and that nobody keeps it", async () => {
    for (const [path, method] of [["/"], ["/v1/things?page=2"], ["/v1/things", "POST"]] as const) {
      const answer = await ask(path, method);
      expect([answer.status, answer.headers.get("retry-after"), answer.headers.get("cache-control")]).toEqual([
        503,
        "120",
        "no-store",
      ]);
      expect(await answer.text()).toBe(data["maintenance.html"]);
    }
  });

  test("the kubelet's path is 204; the page's own path is nobody's", async () => {
    expect((await ask("/healthz")).status).toBe(204);
    expect((await ask("/maintenance.html")).status).toBe(404);
  });
});

test.each([
  ["server { listen 8080; location / { proxy_pass http://api; } }", 'does not know "proxy_pass http://api"'],
  ["server { listen 8080; location / { add_header A b; } }", 'does not know "add_header A b"'],
  ["upstream api { server a; }", 'does not know the block "upstream api"'],
  ["gzip on;", '"gzip on" stands outside of a server'],
])("what it would do otherwise than nginx is refused: %s", (text, reason) => {
  expect(() => readConfig(text)).toThrow(reason);
});
