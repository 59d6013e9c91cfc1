import { Certificates, type CertificatesArgs } from "../../../components/cluster/certificates";
import { readEscrow } from "../../../components/cluster/escrow";
import { ofType, only, registered, secretValue, valueOf } from "../../support/mocks";

const KEY = "tls:index/privateKey:PrivateKey";
const SELF_SIGNED = "tls:index/selfSignedCert:SelfSignedCert";
const SIGNED = "tls:index/locallySignedCert:LocallySignedCert";
const REQUEST = "tls:index/certRequest:CertRequest";
const PASSWORD = "random:index/randomPassword:RandomPassword";

const make = async (args: Partial<CertificatesArgs> = {}) => {
  let made!: Certificates;
  const all = await registered(() => {
    made = new Certificates("honeydue-g1", { clusterName: "honeydue", generation: 1, ...args });
    return made;
  });
  return { made, all };
};

test("two tokens are drawn apart: an agent's adds agents and nothing else", async () => {
  const { made, all } = await make();
  expect(ofType(all, PASSWORD).map(({ name }) => name)).toEqual([
    "honeydue-g1-server-token",
    "honeydue-g1-agent-token",
  ]);
  const { serverToken, agentToken } = await valueOf(made.secrets);
  expect(serverToken).toMatch(/^K10[0-9a-f]{64}::server:password-of-honeydue-g1-server-token$/);
  expect(agentToken).toBe("password-of-honeydue-g1-agent-token");
});

test("CI has a certificate of its own group, as short-lived as the administrator's", async () => {
  const { all } = await make();
  expect(only(all, REQUEST, "honeydue-g1-ci").inputs["subject"]).toEqual({
    commonName: "trivet:ci@honeydue-1",
    organization: "trivet:ci",
  });
  for (const role of ["administrator", "ci"]) {
    expect(only(all, SIGNED, `honeydue-g1-${role}`).inputs).toMatchObject({
      allowedUses: ["digital_signature", "client_auth"],
      validityPeriodHours: 720,
      earlyRenewalHours: 360,
    });
  }
});

test("agents get a certificate to answer with when there are any: one name, of a server, for all of them", async () => {
  expect(ofType((await make()).all, SIGNED)).toHaveLength(2);
  const { made, all } = await make({ agents: true });
  expect(only(all, REQUEST, "honeydue-g1-agent-status").inputs["dnsNames"]).toEqual(["agent.trivet.internal"]);
  const leaf = only(all, SIGNED, "honeydue-g1-agent-status").inputs;
  expect(leaf["allowedUses"]).toEqual(["digital_signature", "server_auth"]);
  expect((await valueOf(made.secrets)).agentStatus?.certificatePem).toContain("BEGIN CERTIFICATE");
});

test("what went into escrow comes back as the same cluster: nothing of it is made anew but people's certificates", async () => {
  const before = await valueOf((await make()).made.escrow);
  const { made, all } = await make({ escrow: JSON.stringify(before) });
  expect(await valueOf(made.secrets)).toMatchObject(before.secrets);
  expect(await valueOf(made.escrow)).toEqual(before);
  expect(await valueOf(made.serverAuthorityPem)).toBe(before.secrets.authorities.server.certificatePem);
  expect([SELF_SIGNED, PASSWORD].flatMap((type) => ofType(all, type))).toEqual([]);
  expect(ofType(all, KEY).map(({ name }) => name)).toEqual(["honeydue-g1-administrator", "honeydue-g1-ci"]);
  const leaf = only(all, SIGNED, "honeydue-g1-administrator").inputs;
  expect(secretValue(leaf["caPrivateKeyPem"])).toBe(before.secrets.authorities.client.privateKeyPem);
});

describe("an escrow that does not fit is refused without a word of its content", () => {
  const pair = { certificatePem: "sentinel-certificate", privateKeyPem: "sentinel-key" };
  const escrow = {
    schemaVersion: 1,
    platform: "honeydue",
    generation: 2,
    secrets: {
      authorities: { server: pair, client: pair, requestHeader: pair, etcdPeer: pair, etcdServer: pair },
      serviceAccountKeyPem: "sentinel-service",
      serverToken: "sentinel-token",
      agentToken: "sentinel-agent",
    },
  };
  const read = (text: string) => () => readEscrow(text, { platform: "honeydue", generation: 2 });

  test("one that fits is taken", () => {
    expect(read(JSON.stringify(escrow))()).toEqual(escrow);
  });

  test.each<[string, string, RegExp]>([
    [
      "another platform's",
      JSON.stringify({ ...escrow, platform: "farm" }),
      /is of the platform "farm", this one is "honeydue"/,
    ],
    [
      "another generation's",
      JSON.stringify({ ...escrow, generation: 1 }),
      /is of generation 1, this cluster is of generation 2/,
    ],
    ["another format's", JSON.stringify({ ...escrow, schemaVersion: 2 }), /another format/],
    ["the still encrypted file", "age-encryption.org/v1 sentinel", /is no JSON/],
    ["null", "null", /another format/],
    [
      "half of one",
      JSON.stringify({ ...escrow, secrets: { ...escrow.secrets, agentToken: "", authorities: { server: pair } } }),
      /lacks authorities\.client\.certificatePem, .*, agentToken/,
    ],
  ])("%s", (_what, text, reason) => {
    expect(read(text)).toThrow(reason);
    expect(read(text)).not.toThrow(/sentinel/);
  });
});
