import { setTimeout as delay } from "node:timers/promises";
import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import type { CloudApi } from "../cloud-api";
import type { CloudOptions } from "../cloud-options";
import { outputValue } from "../output-value";

const HOURS_A_DAY = 24;
/** A new authority is a new Secret that all of Traefik rolls for, with no overlap: so it outlasts any platform. */
const AUTHORITY_VALIDITY_HOURS = 10 * 365 * HOURS_A_DAY;
const CLIENT_VALIDITY_HOURS = 365 * HOURS_A_DAY;
/** As the Origin certificate: the first `pulumi up` after 120 days makes a new one. */
const CLIENT_EARLY_RENEWAL_HOURS = 245 * HOURS_A_DAY;

/** Cloudflare rolls a certificate out "within a few minutes"; Traefik must not ask for it before. */
const DEPLOYMENT_DEADLINE_SECONDS = 600;
const DEPLOYMENT_POLL_SECONDS = 2;
const PROGRESS_PERIOD_SECONDS = 30;

export interface OriginPullsArgs {
  zoneId: string;
  /** Asked whether the certificate has reached the edge. */
  cloudflare: pulumi.Input<CloudApi>;
  cloudOptions: CloudOptions;
  /** Whether this run puts the zone's settings back. */
  handedBack: boolean;
}

/**
 * Proof for Traefik that a connection comes from this very zone: Cloudflare shows a client certificate of an authority that nobody else has.
 * Its published addresses and the certificate that it shows for all customers prove only that somebody's zone at Cloudflare connects.
 *
 * A renewed certificate is made beside the old one; the authority has signed both, so it does not matter which of them the edge shows.
 */
export class OriginPulls extends pulumi.ComponentResource {
  /** What Traefik asks of whoever connects. Known when Cloudflare shows a certificate of it. */
  readonly authorityPem: pulumi.Output<string>;

  constructor(name: string, args: OriginPullsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:edge:OriginPulls", name, {}, opts);
    const { zoneId, cloudflare: api, cloudOptions, handedBack } = args;
    const child = { parent: this };
    const newKey = (role: string): tls.PrivateKey =>
      new tls.PrivateKey(`${name}-${role}`, { algorithm: "ECDSA", ecdsaCurve: "P256" }, child);

    const authorityKey = newKey("authority");
    const authority = new tls.SelfSignedCert(
      `${name}-authority`,
      {
        privateKeyPem: authorityKey.privateKeyPem,
        subject: { commonName: `${name} authority` },
        isCaCertificate: true,
        setSubjectKeyId: true,
        setAuthorityKeyId: true,
        allowedUses: ["cert_signing", "crl_signing"],
        validityPeriodHours: AUTHORITY_VALIDITY_HOURS,
      },
      child,
    );
    const key = newKey("client");
    const request = new tls.CertRequest(
      `${name}-client`,
      { privateKeyPem: key.privateKeyPem, subject: { commonName: name } },
      child,
    );
    const client = new tls.LocallySignedCert(
      `${name}-client`,
      {
        certRequestPem: request.certRequestPem,
        caCertPem: authority.certPem,
        caPrivateKeyPem: authorityKey.privateKeyPem,
        allowedUses: ["digital_signature", "client_auth"],
        validityPeriodHours: CLIENT_VALIDITY_HOURS,
        earlyRenewalHours: CLIENT_EARLY_RENEWAL_HOURS,
      },
      child,
    );
    const shown = new cloudflare.AuthenticatedOriginPullsCertificate(
      `${name}-certificate`,
      { zoneId, certificate: client.certPem, privateKey: pulumi.secret(key.privateKeyPem) },
      pulumi.mergeOptions(cloudOptions(child), {
        deleteBeforeReplace: false, // the edge always has one to show
        additionalSecretOutputs: ["privateKey"],
        hooks: { afterCreate: [awaitDeployment(name, api, zoneId)] },
      }),
    );
    const settings = new cloudflare.AuthenticatedOriginPullsSettings(
      `${name}-settings`,
      { zoneId, enabled: !handedBack },
      { ...child, dependsOn: shown },
    );
    this.authorityPem = pulumi.all([authority.certPem, settings.id]).apply(([pem]) => pem);
    this.registerOutputs({ authorityPem: this.authorityPem });
  }
}

const awaitDeployment = (name: string, api: pulumi.Input<CloudApi>, zoneId: string): pulumi.ResourceHook =>
  new pulumi.ResourceHook(`trivet-deployed-${name}`, async ({ id }) => {
    await deployed(await outputValue(pulumi.output(api)), { zoneId, certificateId: String(id) });
  });

export interface DeployedArgs {
  readonly zoneId: string;
  readonly certificateId: string;
  /** @default 600 */
  readonly deadlineSeconds?: number;
  /** @default 2 */
  readonly pollSeconds?: number;
}

/** Resolves when the edge has the certificate. */
export async function deployed(
  api: CloudApi,
  {
    zoneId,
    certificateId,
    deadlineSeconds = DEPLOYMENT_DEADLINE_SECONDS,
    pollSeconds = DEPLOYMENT_POLL_SECONDS,
  }: DeployedArgs,
): Promise<void> {
  const begin = performance.now() / 1000;
  let said = begin;
  for (;;) {
    const path = `/zones/${zoneId}/origin_tls_client_auth/${certificateId}`;
    const status = (await api.get<{ result: { status: string } }>(path))?.result.status;
    if (status === "active") return;
    const now = performance.now() / 1000;
    // Only on the way there; everything else will not become better by waiting.
    if (status !== "initializing" && status !== "pending_deployment")
      throw new Error(
        `the client certificate ${certificateId} will not be shown to origins: it is ${status ?? "gone"}`,
      );
    if (now - begin >= deadlineSeconds)
      throw new Error(
        `the client certificate ${certificateId} is still ${status} after ${deadlineSeconds} s. Traefik does not ask for it yet; ` +
          "run pulumi up again when Cloudflare says that it is active",
      );
    if (now - said >= PROGRESS_PERIOD_SECONDS) {
      said = now;
      void pulumi.log.info(
        `waiting for Cloudflare to roll out the client certificate (${status})`,
        undefined,
        undefined,
        true,
      );
    }
    await delay(pollSeconds * 1000);
  }
}
