import { type Attributes, list, object, set, text, type Traits } from "../schema";

const must = text({ required: true });
const identified = object({ id: must });
const nothing = object({});

/** Whom a policy is about: one kind of rule in each element. */
const KINDS: Attributes = {
  anyValidServiceToken: nothing,
  authContext: object({ acId: must, id: must, identityProviderId: must }),
  authMethod: object({ authMethod: must }),
  azureAd: object({ id: must, identityProviderId: must }, { apiName: "azureAD" }),
  certificate: nothing,
  cloudflareAccountMember: object({ accountId: text() }),
  commonName: object({ commonName: must }),
  devicePosture: object({ accountId: text(), integrationUid: must }),
  email: object({ email: must }),
  emailDomain: object({ domain: must }),
  emailList: identified,
  everyone: nothing,
  externalEvaluation: object({ evaluateUrl: must, keysUrl: must }),
  geo: object({ countryCode: must }),
  githubOrganization: object(
    { identityProviderId: must, name: must, team: text() },
    { apiName: "github-organization" },
  ),
  group: identified,
  gsuite: object({ email: must, identityProviderId: must }),
  ip: object({ ip: must }),
  ipList: identified,
  linkedAppToken: object({ appUid: must }),
  loginMethod: identified,
  oidc: object({ claimName: must, claimValue: must, identityProviderId: must }),
  okta: object({ identityProviderId: must, name: must }),
  saml: object({ attributeName: must, attributeValue: must, identityProviderId: must }),
  serviceToken: object({ tokenId: must }),
  userRiskScore: object({ userRiskScores: list(text(), { required: true, terraformName: "user_risk_score" }) }),
};

/** The order of rules has no meaning. */
export const rules = (traits: Traits) => set(object(KINDS), { ...traits, oneKindEach: true });
