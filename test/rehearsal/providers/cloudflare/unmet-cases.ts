const SHELF =
  "the real provider's own plan modifier of PagesProject keeps or drops a whole block here; what the engine is told is only the list of outputs that change";

/** Recorded cases that the stand-in does not meet, with the reason. A case that is met must leave the list: the test says so. */
export const unmetCases: ReadonlyMap<string, string> = new Map<string, string>([
  ["PagesProject / diff / deploymentConfigs removed (full)", SHELF],
  ["PagesProject / diff / deploymentConfigs.preview removed (full)", SHELF],
]);

const SOURCES =
  "written after the sources of terraform-provider-cloudflare and the SDK's declarations; judged by lifecycle.test.ts";

/** Types that the recordings lack, with what they are judged by instead. */
export const unrecordedTypes: ReadonlyMap<string, string> = new Map<string, string>([
  ["cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate", SOURCES],
  ["cloudflare:index/authenticatedOriginPullsHostnameCertificate:AuthenticatedOriginPullsHostnameCertificate", SOURCES],
]);
