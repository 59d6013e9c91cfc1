import type { ResourceType } from "../resource-type";
import { accessApplication } from "./access-application";
import { accessPolicy } from "./access-policy";
import { accessServiceToken } from "./access-service-token";
import { authenticatedOriginPulls } from "./authenticated-origin-pulls";
import {
  authenticatedOriginPullsCertificate,
  authenticatedOriginPullsHostnameCertificate,
} from "./authenticated-origin-pulls-certificate";
import { authenticatedOriginPullsSettings } from "./authenticated-origin-pulls-settings";
import { dnsRecord } from "./dns-record";
import { originCaCertificate } from "./origin-ca-certificate";
import { pagesDomain } from "./pages-domain";
import { pagesProject } from "./pages-project";
import { ruleset } from "./ruleset";
import { tunnel, tunnelConfig } from "./tunnel";
import { zoneDnssec } from "./zone-dnssec";
import { zoneSetting } from "./zone-setting";

export const RESOURCE_TYPES: readonly ResourceType[] = [
  dnsRecord,
  zoneSetting,
  originCaCertificate,
  tunnel,
  tunnelConfig,
  ruleset,
  authenticatedOriginPullsSettings,
  authenticatedOriginPullsCertificate,
  authenticatedOriginPulls,
  authenticatedOriginPullsHostnameCertificate,
  zoneDnssec,
  accessApplication,
  accessPolicy,
  accessServiceToken,
  pagesProject,
  pagesDomain,
];
