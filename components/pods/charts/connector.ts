import { k8s } from "cdk8s-plus-28";
import { image } from "../../../model/image-reference";
import { IMAGES } from "../../../model/images";
import type { Platform, Tunnel } from "../../../model/platform";
import { CONNECTOR } from "../../../model/sizes";
import { containerResources, containerSecurity } from "./hardening";

/** How cloudflared runs, whether a Deployment or a static pod makes it (cloudflared 2026.10.0). */

/** Of the image. */
export const CONNECTOR_USER = 65532;

const CONNECTOR_METRICS_PORT = 2000;

/** The file in it is `token`. Never an argument: those stand in every list of processes. */
const CONNECTOR_TOKEN_FOLDER = "/run/secrets/tunnel";

/** cloudflared itself finishes for 30 s what is under way. */
export const CONNECTOR_STOPS_WITHIN_SECONDS = 45;

/** What it routes where it reads from Cloudflare (the tunnel's configuration), so nothing of that is here. */
const connectorArgs = ["tunnel", "--no-autoupdate", "--metrics", `0.0.0.0:${CONNECTOR_METRICS_PORT}`, "run"];

const ask = (path: string, failureThreshold: number, periodSeconds: number): k8s.Probe => ({
  httpGet: { path, port: k8s.IntOrString.fromString("metrics") },
  periodSeconds,
  timeoutSeconds: 3,
  failureThreshold,
});

/**
 * Ready with at least one connection to Cloudflare. Alive as long as the process answers: were a lost connection a reason to
 * restart, an outage of Cloudflare's edge would restart every connector over and over, and they come back by themselves.
 */
const connectorProbes = {
  startupProbe: ask("/healthcheck", 30, 2),
  readinessProbe: ask("/ready", 2, 5),
  livenessProbe: ask("/healthcheck", 6, 10),
};

/** The same wherever it runs. The volume `token` is the pod's business. */
export const connectorContainer: k8s.Container = {
  name: "cloudflared",
  image: image(IMAGES.cloudflared).reference,
  imagePullPolicy: "IfNotPresent",
  args: connectorArgs,
  env: [{ name: "TUNNEL_TOKEN_FILE", value: `${CONNECTOR_TOKEN_FOLDER}/token` }],
  ports: [{ name: "metrics", containerPort: CONNECTOR_METRICS_PORT, protocol: "TCP" }],
  resources: containerResources(CONNECTOR),
  securityContext: containerSecurity,
  ...connectorProbes,
  volumeMounts: [{ name: "token", mountPath: CONNECTOR_TOKEN_FOLDER, readOnly: true }],
};

/** Name of the Deployment, its pods and their account. */
export const connectorName = (tunnel: "users" | "operators"): string => `${tunnel}-connector`;

/** Tunnels whose connectors are Deployments. */
export const deployedTunnels = ({ edge }: Platform): readonly (readonly ["users" | "operators", Tunnel])[] => [
  ...(edge.kind === "tunnel" ? [["users", edge.tunnel] as const] : []),
  ...(edge.operators?.tunnel !== undefined && edge.operators.connector === "deployment"
    ? [["operators", edge.operators.tunnel] as const]
    : []),
];
