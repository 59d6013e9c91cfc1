import { createHash } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as tls from "@pulumi/tls";
import { AUTHORITIES, type Authority, type ClusterSecrets } from "./user-data";

const HOURS_A_YEAR = 8766;
/** As long as K3s' own. They change with the generation; until then nothing may expire. */
const AUTHORITY_VALIDITY_HOURS = 10 * HOURS_A_YEAR;
/** Kubernetes cannot revoke a client certificate, so it must end by itself. */
const ADMINISTRATOR_VALIDITY_HOURS = 30 * 24;
/** From half of its life on, the next `pulumi up` makes a new one. */
const ADMINISTRATOR_RENEWAL_HOURS = ADMINISTRATOR_VALIDITY_HOURS / 2;

export interface CertificatesArgs {
  clusterName: string;
  /** Every generation has authorities and tokens of its own. */
  generation: number;
}

/**
 * The cluster's authorities, service account key, tokens and the administrator's certificate, made before any server exists.
 * All are resources of one generation: raising it makes new ones and drops the old, so that nothing of the old cluster is
 * trusted by the new one, and no late delete for the old one can reach it.
 *
 * Each authority signs itself, as K3s' own do. A common root would let `k3s certificate rotate-ca` run without a break, but
 * then the API server, which is handed the whole chain, would believe client certificates of any of them.
 */
export class Certificates extends pulumi.ComponentResource {
  readonly secrets: pulumi.Output<ClusterSecrets>;
  /** Not secret: what clients check the API server by. */
  readonly serverAuthorityPem: pulumi.Output<string>;
  readonly administrator: {
    readonly certificatePem: pulumi.Output<string>;
    /** Secret. */
    readonly privateKeyPem: pulumi.Output<string>;
  };

  constructor(name: string, args: CertificatesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:cluster:Certificates", name, {}, opts);
    const { clusterName, generation } = args;
    const parent = { parent: this };

    const authorities = Object.fromEntries(
      (Object.keys(AUTHORITIES) as Authority[]).map((authority) => {
        const role = AUTHORITIES[authority].replace("/", "-");
        const key = new tls.PrivateKey(`${name}-${role}`, { algorithm: "ECDSA", ecdsaCurve: "P256" }, parent);
        const certificate = new tls.SelfSignedCert(
          `${name}-${role}`,
          {
            privateKeyPem: key.privateKeyPem,
            subject: { commonName: `k3s-${role}@${clusterName}-${generation}` },
            isCaCertificate: true,
            setSubjectKeyId: true,
            setAuthorityKeyId: true,
            allowedUses: ["cert_signing", "crl_signing", "digital_signature", "key_encipherment"],
            validityPeriodHours: AUTHORITY_VALIDITY_HOURS,
          },
          parent,
        );
        return [authority, { certificatePem: certificate.certPem, privateKeyPem: pulumi.secret(key.privateKeyPem) }];
      }),
    ) as Record<Authority, { certificatePem: pulumi.Output<string>; privateKeyPem: pulumi.Output<string> }>;

    // RSA: K3s, as upstream, signs service account tokens with RS256.
    const serviceAccountKey = new tls.PrivateKey(`${name}-service`, { algorithm: "RSA", rsaBits: 2048 }, parent);
    const serverPassword = new random.RandomPassword(`${name}-server-token`, { length: 48, special: false }, parent);
    const agentPassword = new random.RandomPassword(`${name}-agent-token`, { length: 48, special: false }, parent);
    const serverToken = pulumi
      .all([authorities.server.certificatePem, serverPassword.result])
      .apply(([certificatePem, password]) => fullToken(certificatePem, password));

    const administratorKey = new tls.PrivateKey(
      `${name}-administrator`,
      { algorithm: "ECDSA", ecdsaCurve: "P256" },
      parent,
    );
    const request = new tls.CertRequest(
      `${name}-administrator`,
      {
        privateKeyPem: administratorKey.privateKeyPem,
        // The group that Kubernetes knows before there is any role binding.
        subject: { commonName: `trivet:administrator@${clusterName}-${generation}`, organization: "system:masters" },
      },
      parent,
    );
    const administratorCertificate = new tls.LocallySignedCert(
      `${name}-administrator`,
      {
        certRequestPem: request.certRequestPem,
        caCertPem: authorities.client.certificatePem,
        caPrivateKeyPem: authorities.client.privateKeyPem,
        allowedUses: ["digital_signature", "client_auth"],
        validityPeriodHours: ADMINISTRATOR_VALIDITY_HOURS,
        earlyRenewalHours: ADMINISTRATOR_RENEWAL_HOURS,
      },
      parent,
    );

    this.secrets = pulumi.secret(
      pulumi.output({
        authorities,
        serviceAccountKeyPem: serviceAccountKey.privateKeyPem,
        serverToken,
        agentToken: agentPassword.result,
      }),
    );
    this.serverAuthorityPem = authorities.server.certificatePem;
    this.administrator = {
      certificatePem: administratorCertificate.certPem,
      privateKeyPem: pulumi.secret(administratorKey.privateKeyPem),
    };
    this.registerOutputs({ serverAuthorityPem: this.serverAuthorityPem });
  }
}

/**
 * A K3s token that pins the authority, so that no joining server trusts the first one that answers. For a single certificate
 * K3s hashes the bytes of the file (of a bundle it would be the root's DER): the PEM must go to disk exactly as it is here.
 */
export const fullToken = (serverAuthorityPem: string, password: string): string =>
  `K10${createHash("sha256").update(serverAuthorityPem).digest("hex")}::server:${password}`;
