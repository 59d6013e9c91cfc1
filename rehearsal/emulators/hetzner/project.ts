import type { StoredAction } from "./actions";
import type { Labels } from "./label-selector";

/** Everything in one Hetzner project, as plain data. It outlives an emulator: hand it to the next one to go on with it. */
export interface Project {
  nextId: number;
  sshKeys: Map<number, SshKey>;
  networks: Map<number, Network>;
  firewalls: Map<number, Firewall>;
  placementGroups: Map<number, PlacementGroup>;
  primaryIps: Map<number, PrimaryIp>;
  servers: Map<number, Server>;
  actions: Map<number, StoredAction>;
}

interface Named {
  id: number;
  name: string;
  labels: Labels;
  /** ISO time. */
  created: string;
}

export interface SshKey extends Named {
  fingerprint: string;
  publicKey: string;
}

export interface Subnet {
  type: "cloud" | "server" | "vswitch";
  ipRange: string;
  networkZone: string;
  gateway: string;
  vswitchId?: number;
}

export interface Route {
  destination: string;
  gateway: string;
}

export interface Network extends Named {
  ipRange: string;
  subnets: Subnet[];
  routes: Route[];
  deleteProtection: boolean;
  exposeRoutesToVswitch: boolean;
}

export interface FirewallRule {
  direction: "in" | "out";
  protocol: "tcp" | "udp" | "icmp" | "esp" | "gre";
  port: string | null;
  source_ips: string[];
  destination_ips: string[];
  description: string | null;
}

export type FirewallTarget =
  { type: "server"; server: { id: number } } | { type: "label_selector"; label_selector: { selector: string } };

export interface Firewall extends Named {
  rules: FirewallRule[];
  targets: FirewallTarget[];
}

export interface PlacementGroup extends Named {
  type: "spread";
}

export interface PrimaryIp extends Named {
  type: "ipv4" | "ipv6";
  /** An address, or for IPv6 a /64 network. */
  ip: string;
  location: string;
  assigneeId: number | null;
  autoDelete: boolean;
  deleteProtection: boolean;
}

export type ServerStatus =
  "initializing" | "starting" | "running" | "stopping" | "off" | "deleting" | "rebuilding" | "migrating";

export interface Server extends Named {
  status: ServerStatus;
  /** How often its power came on. */
  boots: number;
  serverType: string;
  imageId: number;
  location: string;
  /** May hold secrets; no answer shows it. */
  userData: string;
  deleteProtection: boolean;
  rebuildProtection: boolean;
  backupWindow: string | null;
  /** Stays small where a change of type did not upgrade it. */
  primaryDiskGB: number;
  placementGroupId: number | null;
  privateNets: { networkId: number; ip: string; aliasIps: string[]; macAddress: string }[];
}

/** First id of a new project: seven digits, as real ones, so that nothing depends on small numbers. */
const FIRST_ID = 1_000_001;

export const createProject = (): Project => ({
  nextId: FIRST_ID,
  sshKeys: new Map(),
  networks: new Map(),
  firewalls: new Map(),
  placementGroups: new Map(),
  primaryIps: new Map(),
  servers: new Map(),
  actions: new Map(),
});
