import { dynamicConfig } from "../../../../components/ingress/charts/middlewares";
import honeydue from "../../../../stacks/honeydue";
import { honeydueSettings } from "../../../model/honeydue.fixture";
import {
  dynamicConfigIn,
  ofKind,
  subjectOf,
  subjects,
  tunnelled,
  tunnelledSettings,
  workloadsIn,
} from "../../../rules/platforms.fixture";

const inEmergency = { ...honeydueSettings, values: { ...honeydueSettings.values, emergency: "direct" } };
const certificates = ["publicCertificate", "publicCertificateKey"];
const withCertificate = { ...inEmergency, secretNames: [...inEmergency.secretNames, ...certificates] };

type Subject = ReturnType<typeof subjectOf>;
const named = ({ manifests }: Subject, name: string) => {
  const found = workloadsIn(manifests).find((one) => one.name === name)!;
  return { ...found, container: found.pod.containers[0]!, args: found.pod.containers[0]!.args! };
};
const option = (args: readonly string[], name: string): string | undefined =>
  args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);

describe("with Cloudflare in front of the servers", () => {
  const withPulls = subjectOf(honeydue, honeydueSettings);

  test("Traefik asks for the certificate that only our own zone shows", () => {
    const { tls } = dynamicConfigIn(withPulls.manifests, "traefik");
    expect(tls?.options.default).toEqual({
      minVersion: "VersionTLS12",
      clientAuth: { caFiles: ["/run/secrets/origin-pulls/ca.crt"], clientAuthType: "RequireAndVerifyClientCert" },
    });
    const { pod, container } = named(withPulls, "traefik");
    expect(container.volumeMounts).toContainEqual({
      name: "origin-pulls",
      mountPath: "/run/secrets/origin-pulls",
      readOnly: true,
    });
    expect(pod.volumes).toContainEqual({
      name: "origin-pulls",
      secret: { secretName: "origin-pulls-authority", defaultMode: 0o400 },
    });
  });

  test("until it has the Ingress objects it closes connections of whatever name, so that Cloudflare takes another server", () => {
    const { tcp } = dynamicConfigIn(withPulls.manifests, "traefik") as { tcp?: unknown };
    expect(tcp).toEqual({
      routers: {
        closed: { entryPoints: ["public"], rule: "HostSNI(`*`)", tls: { passthrough: true }, service: "closed" },
      },
      services: { closed: { loadBalancer: { servers: [{ address: "127.0.0.1:9" }] } } },
    });
  });

  test("where nothing makes that certificate nobody is asked for it", () => {
    const { platform } = withPulls;
    expect(dynamicConfig({ ...platform, edge: { ...platform.edge, originPulls: undefined } })).toMatchObject({
      tls: { options: { default: { minVersion: "VersionTLS12" } } },
    });
    expect(
      JSON.stringify(dynamicConfig({ ...platform, edge: { ...platform.edge, originPulls: undefined } })),
    ).not.toContain("clientAuth");
  });
});

describe("past Cloudflare, in an emergency", () => {
  const direct = subjectOf(honeydue, withCertificate);
  const { args, container, spec } = named(direct, "traefik");
  const config = dynamicConfigIn(direct.manifests, "traefik");

  test("Traefik takes visitors on 443, and on 80 only to send them there", () => {
    expect(option(args, "entryPoints.public.address")).toBe(":443");
    expect(option(args, "entryPoints.plain.address")).toBe(":80");
    expect(option(args, "entryPoints.plain.http.redirections.entryPoint.to")).toBe("public");
    expect(container.ports!.map(({ hostPort }) => hostPort)).toEqual([443, 80, 9180]);
  });

  test("it believes nobody about the visitor, not even in Cloudflare's own headers", () => {
    expect(args.filter((arg) => arg.includes("forwardedHeaders"))).toEqual([]);
    expect(option(args, "entryPoints.public.http.middlewares")).toBe("cleaned@file,answers@file");
    const { customRequestHeaders } = config.http.middlewares["cleaned"]!["headers"] as {
      customRequestHeaders: Record<string, string>;
    };
    for (const name of ["CF-Connecting-IP", "CF-IPCountry", "Cf-Access-Jwt-Assertion"])
      expect(customRequestHeaders).toMatchObject({ [name]: "" });
  });

  test("it shows the certificate that browsers trust, else the one that it has, and asks for none", () => {
    const shown = (subject: Subject): unknown =>
      named(subject, "traefik").pod.volumes!.find(({ name }) => name === "certificate")?.secret?.secretName;
    expect(shown(direct)).toBe("public-certificate");
    expect(shown(subjectOf(honeydue, inEmergency))).toBe("origin-certificate");
    expect(config.tls?.options.default).toEqual({ minVersion: "VersionTLS12" });
  });

  test("all servers change at once, as nobody is served before; on the way back it is one after the other", () => {
    expect(spec).toMatchObject({
      minReadySeconds: 0,
      updateStrategy: { rollingUpdate: { maxUnavailable: "100%", maxSurge: 0 } },
    });
    expect(named(subjects[0]![1], "traefik").spec).toMatchObject({
      minReadySeconds: 10,
      updateStrategy: { rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
    });
  });

  test("it redirects what the zone redirected, which nobody passes through now", () => {
    const { http } = config;
    expect(http.routers).toEqual({
      "redirect-www.honeydue.example": {
        entryPoints: ["public"],
        rule: "Host(`www.honeydue.example`)",
        middlewares: ["redirect-www.honeydue.example"],
        service: "noop@internal",
      },
    });
    expect(http.middlewares["redirect-www.honeydue.example"]).toEqual({
      redirectRegex: { regex: "^https?://[^/]+/(.*)$", replacement: "https://honeydue.example/${1}", permanent: true },
    });
    const usual = dynamicConfigIn(subjects[0]![1].manifests, "traefik");
    expect(usual.http.routers).toBeUndefined();
  });
});

describe("behind a tunnel", () => {
  const subject = subjectOf(tunnelled, tunnelledSettings);
  const { kind, args, pod, container, replicas, spec } = named(subject, "traefik");

  test("Traefik is like any other service: two pods on different nodes, no port of a node, no right to one", () => {
    expect([kind, replicas]).toEqual(["Deployment", 2]);
    expect(container.ports).toEqual([
      { name: "public", containerPort: 8000, protocol: "TCP" },
      { name: "status", containerPort: 9180, protocol: "TCP" },
    ]);
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65532 });
    expect(spec["strategy"]).toEqual({ type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } });
    expect(JSON.stringify(spec["template"])).toContain('"topologyKey":"kubernetes.io/hostname"');
  });

  test("the connectors find it under the name that the tunnel's rules have", () => {
    const { edge } = subject.platform;
    if (edge.kind !== "tunnel") throw new Error("it is behind a tunnel");
    const service = ofKind<{ ports: { port: number }[] }>(subject.manifests, "Service").find(
      ({ metadata }) => metadata.name === "traefik",
    )!;
    const url = `http://${service.metadata.name}.${service.metadata.namespace}.svc:${service.spec.ports[0]!.port}`;
    expect(edge.tunnel.rules.map((rule) => rule.service)).toContain(url);
  });

  test("it believes what the connectors pass on, and takes requests from the pods' network alone", () => {
    expect(option(args, "entryPoints.public.forwardedHeaders.trustedIPs")).toBe("10.42.0.0/16");
    expect(option(args, "entryPoints.public.http.middlewares")).toBe("from-connectors@file,cleaned@file,answers@file");
    const { http, tls, tcp } = dynamicConfigIn(subject.manifests, "traefik") as ReturnType<typeof dynamicConfigIn> & {
      tcp?: unknown;
    };
    // Plain HTTP, and nobody is sent there before it is ready.
    expect(tcp).toBeUndefined();
    expect(http.middlewares["from-connectors"]).toEqual({ ipAllowList: { sourceRange: ["10.42.0.0/16"] } });
    expect(tls).toBeUndefined();
    expect(args.some((arg) => arg.includes("http.tls"))).toBe(false);
  });

  test("status is asked on the pod's own address", () => {
    expect(option(args, "entryPoints.status.address")).toBe(":9180");
  });

  test("prepared for an emergency a second Traefik waits on the servers, and the first stays as it is", () => {
    const { edge } = tunnelled;
    const prepared = subjectOf({ ...tunnelled, edge: { ...edge, direct: { prepared: true } } }, tunnelledSettings);
    expect(named(prepared, "traefik").args).toEqual(args);
    const waiting = named(prepared, "traefik-direct");
    expect([waiting.kind, waiting.container.ports!.map(({ hostPort }) => hostPort)]).toEqual([
      "DaemonSet",
      [443, 80, 9180],
    ]);
    expect(option(waiting.args, "entryPoints.public.http.middlewares")).toBe("cleaned@file,answers@file");
  });

  test.each(["traefik", "traefik-direct"])("no pod of %s is made anew when the emergency comes", (name) => {
    const { edge } = tunnelled;
    const in_ = (emergency: string) =>
      subjectOf(
        { ...tunnelled, edge: { ...edge, direct: { prepared: true } } },
        { ...tunnelledSettings, values: { ...tunnelledSettings.values, emergency } },
      ).manifests.filter(({ kind, metadata }) => metadata.name === name && !/Role|Account/.test(kind));
    expect(in_("off").map(({ kind }) => kind)).toEqual(expect.arrayContaining(["ConfigMap"]));
    expect(in_("direct")).toEqual(in_("off"));
  });
});

describe("with namespaces of people's own", () => {
  const [, subject] = subjects.find(([name]) => name.includes("of people's own"))!;
  const { args } = named(subject, "traefik");

  test("Traefik watches them beside the platform's, and only the platform's may name what the file has", () => {
    expect(option(args, "providers.kubernetesIngress.namespaces")).toBe("tunnelled,blog,shop");
    expect(option(args, "providers.kubernetesIngress.crossProviderNamespaces")).toBe("tunnelled");
  });

  test("its pods may go there, to whichever port; everything else stays shut", () => {
    const policy = (manifests: Subject["manifests"]) =>
      ofKind<{ egress: { to: unknown[]; ports?: unknown }[] }>(manifests, "NetworkPolicy").find(
        ({ metadata }) => metadata.name === "traefik",
      )!.spec.egress;
    const plain = policy(subjectOf(tunnelled, tunnelledSettings).manifests);
    expect(policy(subject.manifests)).toEqual([
      ...plain,
      {
        to: ["blog", "shop"].map((name) => ({
          namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } },
        })),
      },
    ]);
  });
});
