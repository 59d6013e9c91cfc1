import { createHash } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as tls from "@pulumi/tls";
import type { SecretKeyName } from "../../model/platform";
import { type Escrow, readEscrow } from "./escrow";
import { AGENT_STATUS_NAME } from "./kubernetes-api";
import { AUTHORITIES, type Authority, type ClusterSecrets, type NodeSecrets } from "./user-data";

const HOURS_A_YEAR = 8766;
/** As long as K3s' own. They change with the generation; until then nothing may expire. */
const AUTHORITY_VALIDITY_HOURS = 10 * HOURS_A_YEAR;
/** Kubernetes cannot revoke a client certificate, so it must end by itself. */
const CLIENT_VALIDITY_HOURS = 30 * 24;
/** From half of its life on, the next `pulumi up` makes a new one. */
const CLIENT_RENEWAL_HOURS = CLIENT_VALIDITY_HOURS / 2;

/** The group that Kubernetes obeys before there is any role binding. */
const ADMINISTRATORS = "system:masters";
/** Who may look and not touch; what it may is in ci-access.ts. */
export const CI_GROUP = "trivet:ci";

export interface CertificatesArgs {
  clusterName: string;
  /** Every generation has authorities and tokens of its own. */
  generation: number;
  /** Whether there are agents, which answer with a certificate of their own while they boot. @default false */
  agents?: boolean;
  /**
   * What `trivet escrow` wrote, opened again (JSON): the cluster's authorities, keys and tokens, for a state that has lost them.
   * They are taken instead of new ones; the certificates that people use are made anew. It stays set as long as the
   * generation lives: without it the next run would make new ones, which no node knows.
   */
  escrow?: pulumi.Input<string>;
  /** Nothing is made before this is: a generation that nobody asked for must not have authorities. @default at once */
  after?: pulumi.Input<pulumi.Resource>;
  /** Values of the config secrets that nodes need, by name (see `clusterConfigSecrets`). @default none */
  configSecrets?: Readonly<Record<SecretKeyName, pulumi.Input<string>>>;
}

/** A client certificate and its key, and what its holder checks the API server by. */
export interface ClientCertificate {
  readonly certificatePem: pulumi.Output<string>;
  /** Secret. */
  readonly privateKeyPem: pulumi.Output<string>;
}

/**
 * The cluster's authorities, service account key, tokens and the certificates of its people, made before any server exists.
 * All are resources of one generation: raising it makes new ones and drops the old, so that nothing of the old cluster is
 * trusted by the new one, and no late delete for the old one can reach it.
 *
 * Each authority signs itself, as K3s' own do. A common root would let `k3s certificate rotate-ca` run without a break, but
 * then the API server, which is handed the whole chain, would believe client certificates of any of them.
 */
export class Certificates extends pulumi.ComponentResource {
  /** Secret: everything that user-data is made from and nobody else may read. */
  readonly secrets: pulumi.Output<NodeSecrets>;
  /** Secret: what `trivet escrow` keeps, and `trivet:escrow` brings back. */
  readonly escrow: pulumi.Output<Escrow>;
  /** Not secret: what clients check the API server by. */
  readonly serverAuthorityPem: pulumi.Output<string>;
  readonly administrator: ClientCertificate;
  /** Reads everything but Secrets. */
  readonly ci: ClientCertificate;

  constructor(name: string, args: CertificatesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:cluster:Certificates", name, {}, opts);
    const { clusterName, generation, agents = false, escrow, after, configSecrets = {} } = args;
    const child: pulumi.CustomResourceOptions = { parent: this, ...(after === undefined ? {} : { dependsOn: after }) };

    const secrets: pulumi.Output<ClusterSecrets> = pulumi.secret(
      escrow === undefined
        ? this.#makeSecrets(name, args, child)
        : pulumi.output(escrow).apply((text) => readEscrow(text, { platform: clusterName, generation }).secrets),
    );
    this.serverAuthorityPem = pulumi.unsecret(secrets.authorities.server.certificatePem);

    const signed = (role: string, by: Authority, certificate: LeafArgs): ClientCertificate => {
      const { validityHours, renewalHours, usage, commonName, organization, dnsName } = certificate;
      const key = new tls.PrivateKey(`${name}-${role}`, { algorithm: "ECDSA", ecdsaCurve: "P256" }, child);
      const request = new tls.CertRequest(
        `${name}-${role}`,
        {
          privateKeyPem: key.privateKeyPem,
          subject: { commonName, organization },
          ...(dnsName === undefined ? {} : { dnsNames: [dnsName] }),
        },
        child,
      );
      const leaf = new tls.LocallySignedCert(
        `${name}-${role}`,
        {
          certRequestPem: request.certRequestPem,
          caCertPem: pulumi.unsecret(secrets.authorities[by].certificatePem),
          caPrivateKeyPem: secrets.authorities[by].privateKeyPem,
          allowedUses: ["digital_signature", usage],
          validityPeriodHours: validityHours,
          ...(renewalHours === undefined ? {} : { earlyRenewalHours: renewalHours }),
        },
        child,
      );
      return { certificatePem: leaf.certPem, privateKeyPem: pulumi.secret(key.privateKeyPem) };
    };
    const client = (role: string, organization: string): ClientCertificate =>
      signed(role, "client", {
        commonName: `trivet:${role}@${clusterName}-${generation}`,
        organization,
        usage: "client_auth",
        validityHours: CLIENT_VALIDITY_HOURS,
        renewalHours: CLIENT_RENEWAL_HOURS,
      });
    this.administrator = client("administrator", ADMINISTRATORS);
    this.ci = client("ci", CI_GROUP);
    // As long as the authority: it stays on the agent's disk, and says nothing but "an agent of this cluster boots here".
    const agentStatus = agents
      ? signed("agent-status", "server", {
          commonName: AGENT_STATUS_NAME,
          organization: "trivet",
          dnsName: AGENT_STATUS_NAME,
          usage: "server_auth",
          validityHours: AUTHORITY_VALIDITY_HOURS,
        })
      : undefined;

    this.secrets = pulumi.secret(
      pulumi
        .all([secrets, pulumi.output(agentStatus), pulumi.output(configSecrets)])
        .apply(([own, status, config]): NodeSecrets => ({ ...own, agentStatus: status, config })),
    );
    this.escrow = pulumi.secret(
      secrets.apply((own): Escrow => ({ schemaVersion: 1, platform: clusterName, generation, secrets: own })),
    );
    this.registerOutputs({ serverAuthorityPem: this.serverAuthorityPem });
  }

  #makeSecrets(
    name: string,
    { clusterName, generation }: CertificatesArgs,
    child: pulumi.CustomResourceOptions,
  ): pulumi.Output<ClusterSecrets> {
    const authorities = Object.fromEntries(
      (Object.keys(AUTHORITIES) as Authority[]).map((authority) => {
        const role = AUTHORITIES[authority].replace("/", "-");
        const key = new tls.PrivateKey(`${name}-${role}`, { algorithm: "ECDSA", ecdsaCurve: "P256" }, child);
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
          child,
        );
        return [authority, { certificatePem: certificate.certPem, privateKeyPem: key.privateKeyPem }];
      }),
    ) as Record<Authority, { certificatePem: pulumi.Output<string>; privateKeyPem: pulumi.Output<string> }>;

    // RSA: K3s, as upstream, signs service account tokens with RS256.
    const serviceAccountKey = new tls.PrivateKey(`${name}-service`, { algorithm: "RSA", rsaBits: 2048 }, child);
    const serverPassword = new random.RandomPassword(`${name}-server-token`, { length: 48, special: false }, child);
    const agentPassword = new random.RandomPassword(`${name}-agent-token`, { length: 48, special: false }, child);
    return pulumi
      .all([pulumi.output(authorities), serviceAccountKey.privateKeyPem, serverPassword.result, agentPassword.result])
      .apply(([made, serviceAccountKeyPem, password, agentToken]): ClusterSecrets => ({
        authorities: made,
        serviceAccountKeyPem,
        serverToken: fullToken(made.server.certificatePem, password),
        agentToken,
      }));
  }
}

interface LeafArgs {
  readonly commonName: string;
  readonly organization: string;
  readonly dnsName?: string;
  readonly usage: "client_auth" | "server_auth";
  readonly validityHours: number;
  /** Before its end `pulumi up` makes a new one. @default never */
  readonly renewalHours?: number;
}

/**
 * A K3s token that pins the authority, so that no joining server trusts the first one that answers. For a single certificate
 * K3s hashes the bytes of the file (of a bundle it would be the root's DER): the PEM must go to disk exactly as it is here.
 */
export const fullToken = (serverAuthorityPem: string, password: string): string =>
  `K10${createHash("sha256").update(serverAuthorityPem).digest("hex")}::server:${password}`;
