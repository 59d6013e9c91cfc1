import { dynamicConfigIn, ofKind, subjects, workloadsIn } from "../../../rules/platforms.fixture";

const [honeydue, flexible] = [subjects[0]![1], subjects[1]![1]];

const traefikOf = ({ manifests }: typeof honeydue) => {
  const daemonSet = workloadsIn(manifests).find(({ name }) => name === "traefik")!;
  return { ...daemonSet, container: daemonSet.pod.containers[0]!, args: daemonSet.pod.containers[0]!.args! };
};
const dynamicConfigOf = ({ manifests }: typeof honeydue) => dynamicConfigIn(manifests, "traefik");

test("listens on 443 and, for probes and metrics, on the server's private address: nowhere else", () => {
  const { args, container } = traefikOf(honeydue);
  expect(args.filter((arg) => /entryPoints\.\w+\.address/.test(arg))).toEqual([
    "--entryPoints.public.address=:443",
    "--entryPoints.status.address=$(SERVER_ADDRESS):9180",
  ]);
  expect(container.ports).toEqual([
    { name: "public", containerPort: 443, hostPort: 443, protocol: "TCP" },
    { name: "status", containerPort: 9180, hostPort: 9180, protocol: "TCP" },
  ]);
  expect(container.env).toEqual([{ name: "SERVER_ADDRESS", valueFrom: { fieldRef: { fieldPath: "status.hostIP" } } }]);
});

test("has one capability, because port 443 of the host takes it, and no other right", () => {
  const { container, pod } = traefikOf(honeydue);
  expect(container.securityContext).toEqual({
    allowPrivilegeEscalation: false,
    privileged: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] },
  });
  expect(pod).toMatchObject({ hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" });
});

test("runs on the servers alone, which the DNS records name", () => {
  expect(traefikOf(honeydue).pod).toMatchObject({ nodeSelector: { "node-role.kubernetes.io/control-plane": "true" } });
});

test("is replaced one server at a time, never two on one host port", () => {
  expect(traefikOf(honeydue).spec["updateStrategy"]).toEqual({
    type: "RollingUpdate",
    rollingUpdate: { maxUnavailable: 1, maxSurge: 0 },
  });
});

test("finishes what is under way before it is killed", () => {
  const { args, pod } = traefikOf(honeydue);
  const seconds = (flag: string): number => Number(/=(\d+)s$/.exec(args.find((arg) => arg.includes(flag))!)![1]);
  expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(
    seconds("requestAcceptGraceTimeout") + seconds("graceTimeOut"),
  );
});

test("lets in Cloudflare's 22 ranges and believes their forwarding headers, nobody else's", () => {
  const ranges = dynamicConfigOf(honeydue).http.middlewares["from-cloudflare"] as {
    ipAllowList: { sourceRange: string[] };
  };
  expect(ranges.ipAllowList.sourceRange).toHaveLength(22);
  expect(traefikOf(honeydue).args).toContain(
    `--entryPoints.public.forwardedHeaders.trustedIPs=${ranges.ipAllowList.sourceRange.join(",")}`,
  );
});

test("checks and cleans every request on the entry point, so that an Ingress which names no middleware is no way around", () => {
  for (const subject of [honeydue, flexible]) {
    const { http } = dynamicConfigOf(subject);
    const [flag] = traefikOf(subject).args.filter((arg) => arg.startsWith("--entryPoints.public.http.middlewares="));
    const names = flag!.split("=")[1]!.split(",");
    expect(names).toEqual(["from-cloudflare@file", "cleaned@file", "answers@file"]);
    for (const name of names) expect(http.middlewares).toHaveProperty([name.replace("@file", "")]);
  }
});

test("leaves applications one address of the visitor: what a visitor can make up is taken away", () => {
  const cleaned = (subject: typeof honeydue) =>
    (dynamicConfigOf(subject).http.middlewares["cleaned"]!["headers"] as { customRequestHeaders: object })
      .customRequestHeaders as Record<string, string>;
  const emptied = Object.keys(cleaned(honeydue)).filter((name) => cleaned(honeydue)[name] === "");
  expect(emptied).toEqual(expect.arrayContaining(["X-Real-Ip", "True-Client-Ip", "Forwarded", "X-Forwarded-Host"]));
  // Cloudflare writes these itself, whatever came; the visitor's address is read from them.
  for (const kept of ["X-Forwarded-For", "X-Forwarded-Proto", "CF-Connecting-IP"])
    expect(cleaned(honeydue)).not.toHaveProperty([kept]);
  expect([cleaned(honeydue)["X-Forwarded-Port"], cleaned(flexible)["X-Forwarded-Port"]]).toEqual(["443", "443"]);
  expect(traefikOf(honeydue).args).toEqual(
    expect.arrayContaining([
      "--entryPoints.public.forwardedHeaders.notAppendXForwardedFor=true",
      "--entryPoints.public.http.underscoreHeadersStrategy=delete",
    ]),
  );
});

test("a service without a ready pod answers 503 and keeps its route", () => {
  expect(traefikOf(honeydue).args).toContain("--providers.kubernetesIngress.allowEmptyServices=true");
});

test("serves the platform's namespace alone, and only from there may an Ingress name what stands in the file", () => {
  for (const option of ["namespaces", "crossProviderNamespaces"])
    expect(traefikOf(honeydue).args).toContain(`--providers.kubernetesIngress.${option}=honeydue`);
});

test("never closes an idle connection before Cloudflare does, after 900 s", () => {
  const idle = traefikOf(honeydue).args.find((arg) => arg.includes("respondingTimeouts.idleTimeout="))!;
  expect(Number(/=(\d+)s$/.exec(idle)![1])).toBeGreaterThan(900);
});

test("logs every request with the visitor's address, and nothing of its query or other headers", () => {
  expect(traefikOf(honeydue).args.filter((arg) => arg.startsWith("--accessLog"))).toEqual([
    "--accessLog=true",
    "--accessLog.format=json",
    "--accessLog.fields.queryParameters.defaultMode=drop",
    "--accessLog.fields.headers.defaultMode=drop",
    "--accessLog.fields.headers.names.Cf-Connecting-Ip=keep",
    "--accessLog.fields.headers.names.Cf-Ray=keep",
  ]);
});

test("serves what is for everybody: the guarded admin has no Ingress", () => {
  expect(ofKind(honeydue.manifests, "Ingress").map(({ metadata }) => metadata.name)).toEqual(["api", "web"]);
});

test("shows the Origin CA certificate that Pulumi makes", () => {
  const { pod, container } = traefikOf(honeydue);
  const folder = container.volumeMounts!.find(({ name }) => name === "certificate")!.mountPath;
  expect(dynamicConfigOf(honeydue).tls?.stores?.default.defaultCertificate).toEqual({
    certFile: `${folder}/tls.crt`,
    keyFile: `${folder}/tls.key`,
  });
  expect(pod.volumes).toContainEqual({
    name: "certificate",
    secret: { secretName: "origin-certificate", defaultMode: 0o400 },
  });
});

test("speaks TLS by the entry point: an Ingress that does not ask for it gets it", () => {
  expect(traefikOf(honeydue).args).toContain("--entryPoints.public.http.tls=true");
});

test("a trial without TLS listens on 80 and has no certificate", () => {
  const { args, pod } = traefikOf(flexible);
  expect(args).toContain("--entryPoints.public.address=:80");
  expect(args.some((arg) => arg.includes("http.tls"))).toBe(false);
  expect(pod.volumes!.map(({ name }) => name)).toEqual(["config"]);
  expect(dynamicConfigOf(flexible).tls).toBeUndefined();
});

test("a changed middleware rolls the pods, which read it once", () => {
  const digestOf = (subject: typeof honeydue): unknown =>
    (traefikOf(subject).spec["template"] as { metadata: { annotations: Record<string, string> } }).metadata.annotations[
      "trivet/config-digest"
    ];
  expect(digestOf(honeydue)).toMatch(/^[0-9a-f]{32}$/);
  expect(digestOf(flexible)).not.toBe(digestOf(honeydue));
});

test("nobody waits for an address that no load balancer will write", () => {
  for (const { metadata } of ofKind(honeydue.manifests, "Ingress"))
    expect(metadata.annotations).toHaveProperty(["pulumi.com/skipAwait"], "true");
});
