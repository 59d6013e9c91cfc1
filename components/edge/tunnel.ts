import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { Tunnel as Wanted, TunnelRule } from "../../model/platform";
import { NOT_FOUND } from "../../model/tunnel-rules";
import type { CloudOptions } from "../cloud-options";

/** Of letters and digits: 256 bits. Base64 of it has the 32 bytes that the API wants at least. */
const SECRET_LENGTH = 43;

/** How long a connector tries to reach a Service. Its own default of 30 s would hold a visitor who could be told at once. */
const CONNECT_TIMEOUT_SECONDS = 10;

export interface TunnelArgs {
  accountId: string;
  wanted: Wanted;
  /** Tags of the Access applications, by hostname; for rules that ask for a token. */
  audiences: Readonly<Record<string, pulumi.Input<string>>>;
  /** Whether Pulumi refuses to delete it: every connector and every name would have to be made anew. */
  protect: boolean;
  cloudOptions: CloudOptions;
}

/**
 * A Cloudflare Tunnel that is configured from here. Connectors get a token and nothing else; what they do with a request is
 * Cloudflare's to tell them.
 *
 * A raised revision is a new secret, in place: connectors that run keep their connections until they are restarted, and their
 * Deployment rolls because the token is another one.
 */
export class Tunnel extends pulumi.ComponentResource {
  /** What a CNAME says, proxied and in the same account. */
  readonly target: pulumi.Output<string>;
  /** Secret. What a connector runs with. */
  readonly token: pulumi.Output<string>;

  readonly #route: (after: readonly pulumi.Resource[]) => void;

  constructor(name: string, args: TunnelArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:edge:Tunnel", name, {}, opts);
    const { accountId, wanted, audiences, protect, cloudOptions } = args;
    const parent = { parent: this };
    // No RandomBytes: its id, which no state hides, is the value.
    const { result } = new random.RandomPassword(
      `${name}-secret`,
      { length: SECRET_LENGTH, special: false, keepers: { revision: String(wanted.revision) } },
      parent,
    );
    const secret = pulumi.secret(result.apply((text) => Buffer.from(text).toString("base64")));
    const tunnel = new cloudflare.ZeroTrustTunnelCloudflared(
      name,
      { accountId, name: wanted.name, configSrc: "cloudflare", tunnelSecret: secret },
      pulumi.mergeOptions(cloudOptions(parent), {
        protect,
        additionalSecretOutputs: ["tunnelSecret"],
        // One that was made by hand may say "local" until it has got its first configuration from here; for the provider that is another tunnel.
        ignoreChanges: ["configSrc", ...(wanted.adopt === undefined ? [] : ["name", "tunnelSecret"])],
        ...(wanted.adopt === undefined ? {} : { import: `${accountId}/${wanted.adopt}` }),
      }),
    );
    this.#route = (after) =>
      void new cloudflare.ZeroTrustTunnelCloudflaredConfig(
        `${name}-config`,
        {
          accountId,
          tunnelId: tunnel.id,
          config: {
            ingresses: [...wanted.rules.map((rule) => ingressOf(rule, audiences)), { service: NOT_FOUND }],
          },
        },
        { ...parent, ...(after.length === 0 ? {} : { dependsOn: [...after] }) },
      );
    this.target = tunnel.id.apply((id) => `${id}.cfargotunnel.com`);
    this.token = pulumi.secret(
      wanted.adopt === undefined
        ? pulumi.all([tunnel.id, secret]).apply(([t, s]) => tokenOf({ a: accountId, t, s }))
        : // Engines import a thing only as it is. So it keeps its secret while the setting is there, and its connectors run on.
          cloudflare.getZeroTrustTunnelCloudflaredTokenOutput({ accountId, tunnelId: wanted.adopt }, parent).token,
    );
    this.registerOutputs({ target: this.target });
  }

  /** Tells Cloudflare which request goes where, when all of this is there. Once. */
  routeRequests(after: readonly pulumi.Resource[] = []): void {
    this.#route(after);
  }
}

/** As `cloudflared tunnel run` reads it: account, tunnel, secret (cloudflared, connection/connection.go). */
export const tokenOf = (parts: { a: string; t: string; s: string }): string =>
  Buffer.from(JSON.stringify(parts)).toString("base64");

function ingressOf(
  { hostname, path, service, access }: TunnelRule,
  audiences: TunnelArgs["audiences"],
): cloudflare.types.input.ZeroTrustTunnelCloudflaredConfigConfigIngress {
  const audience = audiences[hostname];
  // A rule without the check would let everybody in who gets past Access' own.
  if (access !== undefined && audience === undefined) throw new Error(`no Access application was made for ${hostname}`);
  return {
    hostname,
    ...(path === undefined ? {} : { path }),
    service,
    originRequest: {
      connectTimeout: CONNECT_TIMEOUT_SECONDS,
      ...(access === undefined ? {} : { access: { required: true, teamName: access.team, audTags: [audience!] } }),
    },
  };
}
