import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import type { OriginCertificate as Wanted } from "../../model/platform";

export interface OriginCertificateArgs {
  wanted: Wanted;
  domain: string;
  /** Revokes what a create with a lost answer left: Origin CA certificates have no unique name that would refuse a twin. */
  revokeTwins: pulumi.ResourceHook;
}

/** The certificate that Traefik shows to Cloudflare, and nobody else trusts. Its key never leaves the state and the cluster. */
export class OriginCertificate extends pulumi.ComponentResource {
  readonly certificatePem: pulumi.Output<string>;
  /** Secret. */
  readonly privateKeyPem: pulumi.Output<string>;

  constructor(name: string, args: OriginCertificateArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:edge:OriginCertificate", name, {}, opts);
    const { wanted, domain, revokeTwins } = args;
    const key = new tls.PrivateKey(`${name}-key`, { algorithm: "ECDSA", ecdsaCurve: "P256" }, { parent: this });
    // Sorted: another order of the same names would replace the certificate.
    const hostnames = [...wanted.hostnames].sort();
    const request = new tls.CertRequest(
      `${name}-request`,
      { privateKeyPem: key.privateKeyPem, subject: { commonName: domain }, dnsNames: hostnames },
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
