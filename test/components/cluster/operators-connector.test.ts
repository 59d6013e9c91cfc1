import { parse } from "yaml";
import { CIS_CHECKS, RenderedNode } from "../../../components/cluster/cis";
import { OPERATORS_CONNECTOR_PATH, OPERATORS_TOKEN_PATH } from "../../../components/cluster/operators-connector";
import {
  definitionAspects,
  definitionDigest,
  type NodeIdentity,
  plainFiles,
  userData,
} from "../../../components/cluster/user-data";
import type { Platform } from "../../../model/platform";
import { askCloudInit } from "../../../rehearsal/machines/user-data/cloud-init";
import { parseCloudConfig } from "../../../rehearsal/machines/user-data/cloud-config";
import { referencePlatform } from "../../model/platforms.fixture";
import { type CloudConfig, cloudConfigIn, fileIn, identityOf, SECRETS as COMMON_SECRETS } from "./user-data.fixture";

const platform = referencePlatform("hangangjari");
const SECRETS = { ...COMMON_SECRETS, operatorsTunnelToken: "sentinel-tunnel-token" };
const ownOf = (of: Platform): NodeIdentity => identityOf(of.cluster.nodes[0]!);
const written = (): CloudConfig => cloudConfigIn(userData(platform, ownOf(platform), SECRETS));
const fileAt = (path: string) => fileIn(written(), path);

describe("a server whose API is behind Cloudflare Access", () => {
  test("runs the operators' connector as a static pod that needs no API, no network of pods and no root", () => {
    const { metadata, spec } = parse(fileAt(OPERATORS_CONNECTOR_PATH)!.content) as {
      metadata: Record<string, unknown>;
      spec: Record<string, unknown> & { containers: Record<string, unknown>[]; volumes: object[] };
    };
    // There from the beginning, and exempt from the Pod Security of everything else.
    expect(metadata).toMatchObject({ name: "operators-connector", namespace: "kube-system" });
    expect(spec).toMatchObject({
      hostNetwork: true,
      // The cluster's own DNS first, for guarded services; Cloudflare's when that does not answer.
      dnsPolicy: "None",
      dnsConfig: { nameservers: ["10.43.0.10", "1.1.1.1", "1.0.0.1"], searches: ["cluster.local"] },
      priorityClassName: "system-node-critical",
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
      tolerations: [{ operator: "Exists" }],
    });
    expect(spec.containers).toHaveLength(1);
    expect(spec.containers[0]).toMatchObject({
      image: expect.stringMatching(/^cloudflare\/cloudflared:[^@]+@sha256:[0-9a-f]{64}$/) as string,
      args: ["tunnel", "--no-autoupdate", "--metrics", "0.0.0.0:2000", "run"],
      env: [{ name: "TUNNEL_TOKEN_FILE", value: "/run/secrets/tunnel/token" }],
      securityContext: {
        allowPrivilegeEscalation: false,
        capabilities: { drop: ["ALL"] },
        readOnlyRootFilesystem: true,
      },
      readinessProbe: { httpGet: { path: "/ready", port: "metrics" } },
      livenessProbe: { httpGet: { path: "/healthcheck", port: "metrics" } },
    });
    // The kubelet refuses a static pod that names an object of the API.
    expect(spec.volumes).toEqual([
      { name: "token", hostPath: { path: "/etc/trivet/operators-tunnel", type: "Directory" } },
    ]);
    expect(Object.keys(spec)).not.toEqual(expect.arrayContaining(["serviceAccountName"]));
  });

  test("keeps the connector's token for the connector alone, from before K3s starts", () => {
    expect(fileAt(OPERATORS_TOKEN_PATH)).toEqual({ permissions: "0600", content: "sentinel-tunnel-token" });
    const { runcmd } = written();
    const given = runcmd.findIndex((command) => command.join(" ") === "chown -R 65532:65532 /etc/trivet/operators-tunnel"); // prettier-ignore
    const starts = runcmd.findIndex((command) => command.includes("k3s.service"));
    expect(given).toBeGreaterThan(-1);
    expect(given).toBeLessThan(starts);
  });

  test("has every name of the ways in the API's certificate, and its own in that of the boot script", () => {
    const sans = (parse(fileAt("/etc/rancher/k3s/config.yaml")!.content) as { "tls-san": string[] })["tls-san"];
    expect(sans).toEqual(expect.arrayContaining(["a", "b", "c"].map((name) => `k8s-${name}.hangangjari.example`)));
    expect(JSON.parse(fileAt("/etc/trivet/node.json")!.content)).toMatchObject({
      apiName: "k8s-a.hangangjari.example",
    });
  });

  test("is made anew for another secret of its tunnel, and the preview says that it is the connector", () => {
    const rotated = referencePlatform("hangangjari", { tunnelRevisions: { operators: 2 } });
    const [before, after] = [platform, rotated].map((of) => definitionAspects(of, ownOf(of)));
    expect(Object.keys(before!).filter((name) => before![name as "k3s"] !== after![name as "k3s"])).toEqual([
      "connector",
    ]);
    const users = referencePlatform("hangangjari", { tunnelRevisions: { users: 2 } });
    expect(definitionDigest(users, ownOf(users))).toBe(definitionDigest(platform, ownOf(platform)));
  });

  test("does not change with the value of the token, which no label may show", () => {
    const files = plainFiles(platform, ownOf(platform));
    expect(JSON.stringify([...files])).not.toContain("sentinel");
    const other = userData(platform, ownOf(platform), { ...SECRETS, operatorsTunnelToken: "another" });
    expect(other).not.toBe(userData(platform, ownOf(platform), SECRETS));
  });

  test("cannot be written without the token", () => {
    const { operatorsTunnelToken: _, ...without } = SECRETS;
    expect(() => userData(platform, ownOf(platform), without)).toThrow("token of the operators' tunnel");
  });

  test("is cloud-config as cloud-init reads it, and every check of CIS holds", async () => {
    const text = userData(platform, ownOf(platform), SECRETS);
    expect(parseCloudConfig(text).problems).toEqual([]);
    const verdict = await askCloudInit(text);
    if (verdict.judged) expect(verdict).toMatchObject({ valid: true });
    const node = new RenderedNode(plainFiles(platform, ownOf(platform)));
    expect(CIS_CHECKS.filter(({ ours }) => ours(node) === undefined).map(({ id }) => id)).toEqual([]);
  });
});

test("a server whose API is reached by addresses has no connector of its own, in any aspect", () => {
  const honeydue = referencePlatform("honeydue");
  const paths = plainFiles(honeydue, ownOf(honeydue));
  expect(paths.has(OPERATORS_CONNECTOR_PATH)).toBe(false);
  expect(definitionAspects(honeydue, ownOf(honeydue))).not.toHaveProperty("connector");
});
