import type { ResourceType } from "../resource-type";
import { authenticatedOriginPullsSettings } from "./authenticated-origin-pulls-settings";
import { dnsRecord } from "./dns-record";
import { originCaCertificate } from "./origin-ca-certificate";
import { tunnel, tunnelConfig } from "./tunnel";
import { zoneSetting } from "./zone-setting";

export const RESOURCE_TYPES: readonly ResourceType[] = [
  dnsRecord,
  zoneSetting,
  originCaCertificate,
  tunnel,
  tunnelConfig,
  authenticatedOriginPullsSettings,
];
