import type { AccessDoor, Platform } from "./platform";

/** Where `cloudflared access tcp` listens: on the computer of whoever asks, for nobody else. */
export const LOCAL_ADDRESS = "127.0.0.1";

/** Arguments of `cloudflared` that open a door (2026.10.0). A service token goes by the variables below: arguments stand in every list of processes. */
export const accessTcpArguments = ({ hostname, port }: AccessDoor): string[] => [
  "access",
  "tcp",
  "--hostname",
  hostname,
  "--url",
  `${LOCAL_ADDRESS}:${port}`,
];

/** What `cloudflared access tcp` reads a service token from; without it, it asks the person to log in, in a browser. */
export const ACCESS_TOKEN_VARIABLES = {
  clientId: "TUNNEL_SERVICE_TOKEN_ID",
  clientSecret: "TUNNEL_SERVICE_TOKEN_SECRET",
} as const;

/**
 * The doors through which the Kubernetes API is reached; none where it is reached by the servers' addresses. While Cloudflare is bypassed
 * it is, from the operators' addresses: what is away then must not be needed to do without it.
 */
export const accessDoors = ({ edge, cluster }: Platform): readonly AccessDoor[] =>
  cluster.kubernetesApiAllowedCidrs.length > 0 ? [] : (edge.operators?.apiDoors ?? []);

/**
 * Of a `pulumi up` that compares the state with what there is. It asks the cluster before the program runs, which opens the doors to it
 * where there are such; so there the program runs first.
 */
export const refreshArguments = (platform: Platform): readonly string[] =>
  accessDoors(platform).length > 0 ? ["--refresh", "--run-program"] : ["--refresh"];
