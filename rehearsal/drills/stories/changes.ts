import { setTimeout as delay } from "node:timers/promises";
import { describeVisitors } from "../../rehearse/visitors";
import type { Scene } from "../scene";
import type { Story } from "../story";

const DEFINITION = "stacks/honeydue.ts";
const API = "https://api.honeydue.example/v1/things";
const ADMIN = "https://admin.honeydue.example/";
const BLOG = "https://api.honeydue.example/blog/first";
const NAMESPACE = "blog";

const GUARD = '      guard: "operators",\n';
const PROXIED = '    kind: "proxied",\n    tls: "strict",\n';
const POLL_MILLISECONDS = 100;

async function changed(scene: Scene, from: string, to: string): Promise<void> {
  scene.rewrite(DEFINITION, from, to);
  const up = await scene.up({ args: ["--skip-preview"] });
  scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
}

/** What a visitor of one URL meets while something happens: every change of the answer's status, with its second. */
class Course {
  readonly #ended = new AbortController();
  readonly #following: Promise<void>;
  readonly #began = performance.now();
  readonly changes: { seconds: number; status: number | string }[] = [];

  constructor({ rehearsal }: Scene, url: string) {
    this.#following = this.#follow(() =>
      rehearsal.visit(url).then(
        ({ status }) => status,
        (error: Error) => error.message,
      ),
    );
  }

  async end(): Promise<readonly (number | string)[]> {
    this.#ended.abort();
    await this.#following;
    return this.changes.map(({ status }) => status);
  }

  get text(): string {
    return this.changes.map(({ seconds, status }) => `${seconds.toFixed(1)} s ${status}`).join(", ");
  }

  async #follow(ask: () => Promise<number | string>): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const seconds = (performance.now() - this.#began) / 1000;
      const status = await ask();
      if (status !== this.changes.at(-1)?.status) this.changes.push({ seconds, status });
      await delay(POLL_MILLISECONDS, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Kinds of the records that a name has, in order: `A A A`, `CNAME`. */
const recordsOf = ({ rehearsal }: Scene, url: string): string =>
  rehearsal.cloudflare.state.zones[0]!.dnsRecords.filter(({ name }) => name === new URL(url).hostname)
    .map(({ type }) => type)
    .sort()
    .join(" ");

const tunnelsOf = ({ rehearsal }: Scene): string =>
  rehearsal.cloudflare.state.accounts[0]!.tunnels.filter(({ deletedAt }) => deletedAt === null)
    .map(({ name }) => name)
    .sort()
    .join(", ");

async function isAnsweredBy(scene: Scene, url: string, service: string): Promise<boolean> {
  const { status, headers } = await scene.rehearsal.visit(url);
  return status === 200 && String(headers["x-rehearsal-pod"]).startsWith(`${service}-`);
}

/** Whether the cluster has an object, by its path. */
async function has(scene: Scene, path: string): Promise<boolean> {
  try {
    await scene.kubernetes("GET", path);
    return true;
  } catch (error) {
    if ((error as { status?: number }).status === 404) return false;
    throw error;
  }
}

export const edgeChanges: Story = {
  name: "edge-changes",
  title:
    "the definition of a living platform changes: a guard off and on, people's own namespace, the kind of edge and back",
  stage: { stack: "honeydue", config: { "trivet:protect": false }, edge: true, checkout: true },
  async play(scene) {
    const up = await scene.up({ args: ["--skip-preview"] });
    scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
    scene.given("a platform behind proxied records, with a guarded admin; visitors of the api come all the time");
    await scene.thenWell();
    const visitors = scene.rehearsal.startVisitors(API);
    try {
      await guardOffAndOn(scene);
      await ownNamespace(scene);
    } finally {
      const report = await visitors.end();
      scene.then(`${API}: ${describeVisitors(report)}`, report.requests > 0 && report.lost === 0);
    }
    await scene.thenIdle();
    await kindAndBack(scene);
  },
};

async function guardOffAndOn(scene: Scene): Promise<void> {
  scene.when("the admin's guard is taken away");
  let admin = new Course(scene, ADMIN);
  await changed(scene, GUARD, "");
  await scene.thenSoon("everybody reaches the admin", () => isAnsweredBy(scene, ADMIN, "admin"));
  await admin.end();
  scene.note(`its answers meanwhile: ${admin.text}`);
  scene.then("its name has the servers' addresses", recordsOf(scene, ADMIN) === "A A A", recordsOf(scene, ADMIN));
  scene.then("the operators' tunnel is gone: nothing needs it", tunnelsOf(scene) === "", tunnelsOf(scene));

  scene.when("it gets its guard back");
  admin = new Course(scene, ADMIN);
  await changed(scene, "    admin: service({\n", `    admin: service({\n${GUARD}`);
  await scene.thenWell();
  const answers = await admin.end();
  scene.note(`its answers meanwhile: ${admin.text}`);
  const closedAt = answers.findIndex((status) => status !== 200);
  scene.then(
    "it was open until it was guarded, and not once after that",
    closedAt >= 0 && !answers.slice(closedAt).includes(200) && answers.at(-1) === 302,
    admin.text,
  );
  scene.then("its name leads to the operators' tunnel", recordsOf(scene, ADMIN) === "CNAME", recordsOf(scene, ADMIN));
}

async function ownNamespace(scene: Scene): Promise<void> {
  scene.when("a namespace of people's own is named, and they deploy a blog there, at a path of the api's host");
  await changed(scene, PROXIED, `${PROXIED}    ingressNamespaces: ["${NAMESPACE}"],\n`);
  await deployBlog(scene);
  await scene.thenSoon("the blog answers", () => isAnsweredBy(scene, BLOG, "blog"));

  scene.when("the namespace is taken out of the definition");
  await changed(scene, `${PROXIED}    ingressNamespaces: ["${NAMESPACE}"],\n`, PROXIED);
  await scene.thenSoon("its path is the api's again", () => isAnsweredBy(scene, BLOG, "api"));
  const role = `/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}/roles`;
  const { items } = await scene.kubernetes<{ items: unknown[] }>("GET", role);
  scene.then(
    "Traefik has no right there any more; the namespace, and what people have in it, is as it was",
    items.length === 0 && (await has(scene, `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/blog`)),
  );
}

/** `kubectl apply` of what a person has: two pods (as "restricted" as every namespace asks for by default), a Service, an Ingress. */
async function deployBlog(scene: Scene): Promise<void> {
  const labels = { "app.kubernetes.io/name": "blog", "app.kubernetes.io/component": "service" };
  const metadata = { name: "blog", namespace: NAMESPACE };
  const objects: readonly (readonly [path: string, object: object])[] = [
    [
      `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`,
      {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata,
        spec: {
          replicas: 2,
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: {
              securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: "RuntimeDefault" } },
              containers: [
                {
                  name: "blog",
                  image: "ghcr.example/people/blog:1",
                  ports: [{ containerPort: 8080 }],
                  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
                },
              ],
            },
          },
        },
      },
    ],
    [
      `/api/v1/namespaces/${NAMESPACE}/services`,
      {
        apiVersion: "v1",
        kind: "Service",
        metadata,
        spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
      },
    ],
    [
      `/apis/networking.k8s.io/v1/namespaces/${NAMESPACE}/ingresses`,
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "Ingress",
        metadata,
        spec: {
          rules: [
            {
              host: new URL(BLOG).hostname,
              http: {
                paths: [
                  { path: "/blog", pathType: "Prefix", backend: { service: { name: "blog", port: { number: 80 } } } },
                ],
              },
            },
          ],
        },
      },
    ],
  ];
  for (const [path, value] of objects) await scene.kubernetes("POST", path, { type: "application/json", value });
}

const TUNNEL = '    kind: "tunnel",\n';

async function kindAndBack(scene: Scene): Promise<void> {
  for (const [from, to, records, tunnels] of [
    [PROXIED, TUNNEL, "CNAME", "honeydue, honeydue-operators"],
    [TUNNEL, PROXIED, "A A A", "honeydue-operators"],
  ] as const) {
    scene.when(to === TUNNEL ? "visitors come through a tunnel from now on" : "and by proxied records again");
    const api = new Course(scene, API);
    await changed(scene, from, to);
    await scene.thenWell();
    await api.end();
    scene.note(`answers of the api meanwhile: ${api.text}`);
    scene.then(
      `its name has ${records}; the tunnels are ${tunnels}`,
      recordsOf(scene, API) === records && tunnelsOf(scene) === tunnels,
      `${recordsOf(scene, API)}; ${tunnelsOf(scene)}`,
    );
    const open = [...scene.rehearsal.hetzner.project.firewalls.values()]
      .flatMap(({ rules }) => rules)
      .filter(({ port }) => port === "443");
    scene.then(
      to === TUNNEL ? "no server takes visitors on 443" : "the servers take Cloudflare on 443",
      (to === TUNNEL) === (open.length === 0),
    );
    await scene.thenIdle();
  }
}
