import type { V1Node } from "@kubernetes/client-node";
import type { EscrowContent } from "../../../operations/escrow-content";
import type { ServerState, StackState } from "../../../operations/state";
import { type MadeAuthority, makeAuthority } from "../../rehearsal/machines/support/authorities";

export const NOW = new Date("2026-11-21T15:00:00Z");

export const serverState = (node: string, parts: Partial<ServerState> = {}): ServerState => ({
  urn: `urn:pulumi:honeydue::trivet::trivet:cluster:Cluster$hcloud:index/server:Server::honeydue-${node}`,
  node,
  hostname: `honeydue-${node}`,
  generation: 1,
  definition: `definition-of-${node}`,
  revision: 1,
  restore: undefined,
  ...parts,
});

/** Three servers of generation 1, nothing pending. */
export const stackState = (parts: Partial<StackState> = {}): StackState => ({
  servers: ["a", "b", "c"].map((node) => serverState(node)),
  authorities: [],
  leftovers: 0,
  pendingOperations: 0,
  ...parts,
});

export interface NodeParts {
  ready?: boolean;
  /** status and reason of EtcdIsVoter */
  voter?: [string, string];
  k3s?: string;
  definition?: string;
  cordoned?: boolean;
}

/** A server's Node as K3s keeps it. */
export const kubernetesNode = (name: string, parts: NodeParts = {}): V1Node => {
  const { ready = true, voter: [status, reason] = ["True", "MemberNotLearner"], k3s = "v1.36.4+k3s1" } = parts;
  return {
    metadata: {
      name: `honeydue-${name}`,
      labels: { "trivet/definition": parts.definition ?? `definition-of-${name}` },
    },
    spec: parts.cordoned ? { unschedulable: true } : {},
    status: {
      nodeInfo: { kubeletVersion: k3s } as NonNullable<NonNullable<V1Node["status"]>["nodeInfo"]>,
      conditions: [
        { type: "Ready", status: ready ? "True" : "False" },
        { type: "EtcdIsVoter", status, reason },
      ],
    },
  };
};

export const AUTHORITY_NAMES = ["server", "client", "requestHeader", "etcdPeer", "etcdServer"];

/** Real keys and certificates, as the program makes them. */
export async function madeEscrow(parts: Partial<EscrowContent> = {}): Promise<EscrowContent> {
  const made = await Promise.all(
    AUTHORITY_NAMES.map((name) => makeAuthority({ commonName: `k3s-${name}@honeydue-1` })),
  );
  return {
    schemaVersion: 1,
    platform: "honeydue",
    generation: 1,
    secrets: {
      authorities: Object.fromEntries(
        AUTHORITY_NAMES.map((name, index) => {
          const { certificatePem, keyPem } = made[index] as MadeAuthority;
          return [name, { certificatePem, privateKeyPem: keyPem }];
        }),
      ),
      serviceAccountKeyPem:
        "-----BEGIN RSA PRIVATE KEY-----\nsentinel-service-account-key\n-----END RSA PRIVATE KEY-----\n",
      serverToken: `K10${"ab".repeat(32)}::server:sentinel-server-token`,
      agentToken: "sentinel-agent-token",
    },
    ...parts,
  };
}
