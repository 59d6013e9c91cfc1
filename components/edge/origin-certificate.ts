import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import type { OriginCertificate as Wanted } from "../../model/platform";

/**
 * Pulumi knows no date by which Cloudflare's certificate ends, so a certificate of our own, which nobody ever sees, tells the time:
 * its provider asks to replace it 245 days before its end. So the first `pulumi up` after 120 days makes a new key and a new Origin CA
 * certificate, and there are eight months to run one.
 */
const CLOCK_VALIDITY_HOURS = 365 * 24;
const CLOCK_EARLY_RENEWAL_HOURS = 245 * 24;

export interface OriginCertificateArgs {
  wanted: Wanted;
  domain: string;
  /** Revokes what a create with a lost answer left: Origin CA certificates have no unique name that would refuse a twin. */
  revokeTwins: pulumi.ResourceHook;
}

/**
 * The certificate that Traefik shows to Cloudflare, and nobody else trusts. Its key never leaves the state and the cluster.
 * A new one is made beside the old one, which is revoked at the end of the run, when Traefik has rolled: where the roll fails, the engine
 * deletes nothing, and both are valid.
 */
export class OriginCertificate extends pulumi.ComponentResource {
  readonly certificatePem: pulumi.Output<string>;
  /** Secret. */
  readonly privateKeyPem: pulumi.Output<string>;

  constructor(name: string, args: OriginCertificateArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:edge:OriginCertificate", name, {}, opts);
    const { wanted, domain, revokeTwins } = args;
    const clockKey = new tls.PrivateKey(`${name}-clock`, { algorithm: "ECDSA", ecdsaCurve: "P256" }, { parent: this });
    const { validityStartTime: beginning } = new tls.SelfSignedCert(
      `${name}-clock`,
      {
        privateKeyPem: clockKey.privateKeyPem,
        subject: { commonName: `renewal of ${name}` },
        allowedUses: ["digital_signature"],
        validityPeriodHours: CLOCK_VALIDITY_HOURS,
        earlyRenewalHours: CLOCK_EARLY_RENEWAL_HOURS,
      },
      { parent: this },
    );
    const key = new tls.PrivateKey(
      `${name}-key`,
      { algorithm: "ECDSA", ecdsaCurve: "P256" },
      { parent: this, replacementTrigger: beginning },
    );
    // Sorted: another order of the same names would replace the certificate.
    const hostnames = [...wanted.hostnames].sort();
    const request = new tls.CertRequest(
      `${name}-request`,
      {
        privateKeyPem: key.privateKeyPem,
        // Every certificate has a request of its own, even where the engine keeps the key (a state from before the clock): by its
        // request `revokeTwins` knows a twin, and the certificate that Traefik still shows must not be taken for one.
        subject: { commonName: domain, serialNumber: beginning },
        dnsNames: hostnames,
      },
      { parent: this },
    );
    const certificate = new cloudflare.OriginCaCertificate(
      `${name}-certificate`,
      {
        csr: request.certRequestPem,
        hostnames,
        requestType: "origin-ecc",
        requestedValidity: wanted.validityDays,
      },
      { parent: this, hooks: { afterCreate: [revokeTwins] } },
    );
    this.certificatePem = certificate.certificate;
    this.privateKeyPem = pulumi.secret(key.privateKeyPem);
    this.registerOutputs({ certificatePem: this.certificatePem });
  }
}
