import { charts } from "../../../../components/charts";
import { partsOf } from "../../../../components/part";
import { ofKind, subjects, workloadsIn } from "../../../rules/platforms.fixture";

const [, { platform, manifests }] = subjects[0]!;
const resting = charts({ ...platform, maintenance: ["api"] });

test("the page is there as long as a service needs it, and not a moment longer", () => {
  const names = (all: typeof resting): string[] => workloadsIn(all).map(({ name }) => name);
  expect(names(resting)).toEqual(expect.arrayContaining(names(manifests)));
  expect(names(resting).filter((name) => !names(manifests).includes(name))).toEqual(["maintenance"]);
});

test("two pods answer, and go on while Traefik learns that one of them goes", () => {
  const pods = workloadsIn(resting).find(({ name }) => name === "maintenance")!;
  expect(pods.replicas).toBe(2);
  expect(pods.pod.containers[0]!.lifecycle?.preStop?.sleep?.seconds).toBe(10);
  expect(pods.pod.containers[0]!.readinessProbe?.httpGet?.path).toBe("/healthz");
});

test("answers 503, which no cache keeps, and says when to come again", () => {
  const [config] = ofKind(resting, "ConfigMap").filter(({ metadata }) => metadata.name === "maintenance");
  const { "default.conf": nginx, "maintenance.html": page } = config!["data"] as Record<string, string>;
  expect(nginx).toContain("return 503;");
  expect(nginx).toContain("error_page 503 /maintenance.html;");
  expect(nginx).toContain("add_header Retry-After 120 always;");
  expect(nginx).toContain('add_header Cache-Control "no-store" always;');
  expect(page).toContain("<h1>Back soon</h1>");
});

test("belongs to the ingress: what holds for workloads (jobs, metrics) does not hold for it", () => {
  const parts = partsOf(resting);
  expect(parts.ingress.filter(({ metadata }) => metadata.name === "maintenance").map(({ kind }) => kind)).toEqual([
    "ServiceAccount",
    "ConfigMap",
    "Service",
    "Deployment",
    "PodDisruptionBudget",
  ]);
});
