import { UNKNOWN } from "../../protocol/provider";
import { isPlainObject } from "../api-json";
import type { ResourceType } from "../resource-type";
import { flag, list, map, number, object, type Plain, set, text, type Traits } from "../schema";
import { type ObjectValue, same, type Value } from "../values";
import { rules } from "./access-rules";

const must = text({ required: true });
const secretText = text({ secret: true, refreshed: false });
const filled = { computed: true, optional: true } as const;
/** Also while the program's value is not known: a quirk of the real provider. */
const settled: Traits = { ...filled, keeps: "even-unknown" };
/** Kinds of application that are reached by a browser through the edge. */
const WEB = ["type", "self_hosted", "ssh", "vnc", "rdp", "mcp_portal"] as const;
const LAUNCHER = ["type", "app_launcher"] as const;
const off = flag({ emptyIsNone: true, onlyWhen: WEB });

const mfaConfig = object({ allowedAuthenticators: list(text()), mfaDisabled: flag(), sessionDuration: text() });

const policy = object({
  id: text(filled),
  precedence: number(filled),
  connectionRules: object({
    rdp: object({
      allowedClipboardLocalToRemoteFormats: list(text()),
      allowedClipboardRemoteToLocalFormats: list(text()),
    }),
    ssh: object({ allowEmailAlias: flag(), usernames: list(text(), { required: true }) }),
  }),
  decision: text({ oneOf: ["allow", "deny", "non_identity", "bypass"] }),
  includes: rules({ terraformName: "include" }),
  excludes: rules({ terraformName: "exclude" }),
  requires: rules({ terraformName: "require" }),
  mfaConfig,
  name: text(),
});

const DURATION = [
  /^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$/,
  '"session_duration" only supports "ns", "us" (or "µs"), "ms", "s", "m", or "h" as valid units',
] as const;

export const accessApplication: ResourceType = {
  token: "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication",
  attributes: {
    id: text({ computed: true, keeps: true }),
    accountId: text({ apiName: false, replaces: true }),
    zoneId: text({ apiName: false, replaces: true }),
    name: text({ ...filled, keeps: true }),
    type: text({
      ...filled,
      default: "self_hosted",
      oneOf: [
        "self_hosted",
        "saas",
        "ssh",
        "vnc",
        "app_launcher",
        "warp",
        "biso",
        "bookmark",
        "dash_sso",
        "infrastructure",
        "rdp",
        "mcp",
        "mcp_portal",
        "proxy_endpoint",
      ],
    }),
    domain: text(settled),
    allowAuthenticateViaWarp: flag({ onlyWhen: ["type", "self_hosted", "ssh", "vnc", "rdp", "saas", "dash_sso"] }),
    allowIframe: flag(),
    allowedIdps: set(text(), { emptyIsNone: true, neverUnknown: "update" }),
    appLauncherLogoUrl: text({ onlyWhen: LAUNCHER }),
    appLauncherVisible: flag({
      ...settled,
      default: true,
      onlyWhen: ["type", "self_hosted", "ssh", "vnc", "rdp", "saas", "bookmark"],
    }),
    aud: text({ computed: true, keeps: true }),
    autoRedirectToIdentity: flag({ emptyIsNone: true }),
    bgColor: text({ onlyWhen: LAUNCHER }),
    corsHeaders: object(
      {
        allowAllHeaders: flag(),
        allowAllMethods: flag({ orElse: "allowedMethods" }),
        allowAllOrigins: flag({ orElse: "allowedOrigins" }),
        allowCredentials: flag(),
        allowedHeaders: set(text()),
        allowedMethods: set(text(), {
          oneOf: ["GET", "POST", "HEAD", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"],
        }),
        allowedOrigins: set(text()),
        maxAge: number({ between: [-1, 86400] }),
      },
      { neverUnknown: true, onlyWhen: WEB },
    ),
    customDenyMessage: text(),
    customDenyUrl: text(),
    customNonIdentityDenyUrl: text(),
    customPages: list(text()),
    destinations: list(
      object({
        cidr: text(),
        hostname: text(),
        l4Protocol: text({ terraformName: "l4_protocol" }),
        mcpServerId: text(),
        portRange: text(),
        type: text({ ...filled, default: "public", oneOf: ["public", "private", "via_mcp_server_portal"] }),
        uri: text({ onlyWhen: ["type", "public", null] }),
        vnetId: text(),
        workerId: text(),
      }),
      {
        ...settled,
        onlyWhen: ["type", "self_hosted", "ssh", "vnc", "rdp", "mcp_portal", "mcp"],
        conflictsWith: ["selfHostedDomains"],
      },
    ),
    enableBindingCookie: off,
    footerLinks: list(object({ name: must, url: must }), { onlyWhen: LAUNCHER }),
    headerBgColor: text({ onlyWhen: LAUNCHER }),
    httpOnlyCookieAttribute: flag({ ...settled, default: true, onlyWhen: WEB }),
    landingPageDesign: object(
      {
        buttonColor: text(),
        buttonTextColor: text(),
        imageUrl: text(),
        message: text(),
        title: text(),
      },
      { onlyWhen: LAUNCHER },
    ),
    logoUrl: text(),
    mfaConfig,
    oauthConfiguration: object({
      dynamicClientRegistration: object({
        allowAnyOnLocalhost: flag(),
        allowAnyOnLoopback: flag(),
        allowedUris: list(text()),
        enabled: flag(),
      }),
      enabled: flag(),
      grant: object({ accessTokenLifetime: text(), sessionDuration: text() }),
    }),
    optionsPreflightBypass: off,
    pathCookieAttribute: flag({ onlyWhen: WEB }),
    policies: list(policy, { emptyIsNone: true, neverUnknown: true, sentWhenNone: [] }),
    readServiceTokensFromHeader: text(),
    saasApp: object(
      {
        accessTokenLifetime: text(),
        allowPkceWithoutClientSecret: flag(),
        appLauncherUrl: text(),
        authType: text(),
        clientId: text(filled),
        clientSecret: text({ ...filled, secret: true, refreshed: false }),
        consumerServiceUrl: text(),
        customAttributes: list(
          object({
            friendlyName: text(),
            name: text(),
            nameFormat: text(),
            required: flag(),
            source: object({
              name: text(),
              nameByIdps: list(object({ idpId: text(), sourceName: text() }), { terraformName: "name_by_idp" }),
            }),
          }),
        ),
        customClaims: list(
          object({
            name: text(),
            required: flag(),
            scope: text(),
            source: object({ name: text(), nameByIdp: map(text()) }),
          }),
        ),
        defaultRelayState: text(),
        grantTypes: list(text()),
        groupFilterRegex: text(),
        hybridAndImplicitOptions: object({
          returnAccessTokenFromAuthorizationEndpoint: flag(),
          returnIdTokenFromAuthorizationEndpoint: flag(),
        }),
        idpEntityId: text(filled),
        nameIdFormat: text(),
        nameIdTransformJsonata: text(),
        publicKey: text(filled),
        redirectUris: list(text()),
        refreshTokenOptions: object({ lifetime: text() }),
        samlAttributeTransformJsonata: text(),
        scopes: list(text()),
        spEntityId: text(),
        ssoEndpoint: text(filled),
      },
      { onlyWhen: ["type", "saas", "dash_sso"], neededWhen: ["type", "saas", "dash_sso"] },
    ),
    sameSiteCookieAttribute: text({ onlyWhen: WEB }),
    scimConfig: object({
      authentication: object({
        authorizationUrl: text(),
        clientId: text(),
        clientSecret: secretText,
        password: secretText,
        scheme: must,
        scopes: list(text()),
        token: secretText,
        tokenUrl: text(),
        user: text(),
      }),
      deactivateOnDelete: flag(),
      enabled: flag(),
      idpUid: must,
      mappings: list(
        object({
          enabled: flag(),
          filter: text(),
          operations: object({ create: flag(), delete: flag(), update: flag() }),
          schema: must,
          strictness: text(),
          transformJsonata: text(),
        }),
      ),
      remoteUri: must,
    }),
    selfHostedDomains: set(text(), { ...settled, conflictsWith: ["destinations"] }),
    serviceAuth401Redirect: flag({ terraformName: "service_auth_401_redirect", emptyIsNone: true, onlyWhen: WEB }),
    sessionDuration: text({
      ...settled,
      default: "24h",
      pattern: DURATION,
      onlyWhen: [
        "type",
        "saas",
        "dash_sso",
        "self_hosted",
        "ssh",
        "vnc",
        "rdp",
        "app_launcher",
        "warp",
        "mcp_portal",
        "mcp",
        "proxy_endpoint",
      ],
    }),
    skipAppLauncherLoginPage: flag({ onlyWhen: LAUNCHER }),
    skipInterstitial: flag({ onlyWhen: WEB }),
    tags: set(text(), { emptyIsNone: true }),
    targetCriterias: list(
      object({
        port: number({ required: true }),
        protocol: must,
        targetAttributes: map(list(text()), { required: true }),
      }),
      { terraformName: "target_criteria", onlyWhen: ["type", "rdp", "infrastructure"] },
    ),
  },
  create: { method: "POST", path: "/{home}/access/apps" },
  read: { method: "GET", path: "/{home}/access/apps/{id}" },
  update: { method: "PUT", path: "/{home}/access/apps/{id}" },
  delete: { method: "DELETE", path: "/{home}/access/apps/{id}" },
  importId: ["home", "id"],
  modifyPlan,
  fromApi,
};

/** The hosts follow from the domain and the destinations, where the program does not name them. */
function modifyPlan(planned: Record<string, Value>, state: ObjectValue | undefined, config: ObjectValue): void {
  if (state === undefined) return;
  const changed = (name: string): boolean => !same(planned[name], state[name]);
  if (config["destinations"] === null && changed("domain")) planned["destinations"] = UNKNOWN;
  if (
    config["selfHostedDomains"] === null &&
    (changed("domain") || changed("destinations") || planned["type"] === UNKNOWN)
  )
    planned["selfHostedDomains"] = UNKNOWN;
}

/** The API writes a reusable policy out in full; an application's state holds only which one, and when it is asked. */
function fromApi(result: Plain): Plain {
  if (!isPlainObject(result)) return result;
  const policies = result["policies"];
  if (!Array.isArray(policies)) return result;
  return {
    ...result,
    policies: (policies as readonly { readonly [key: string]: Plain }[]).map((one) =>
      one["reusable"] === true ? { id: one["id"] ?? null, precedence: one["precedence"] ?? null } : one,
    ),
  };
}
