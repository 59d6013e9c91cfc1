import { revokeTwins } from "../../../components/lost-answers/certificates";
import { notingCloud } from "../../support/noting-cloud";
import { afterCreate, afterFailedCreate, noteWords } from "./hooks.fixture";

test("a twin of an Origin CA certificate is known by the signing request, and only the twins are revoked", async () => {
  const result = [
    { id: "kept", csr: "OURS\n" },
    { id: "twin", csr: "OURS" },
    { id: "other", csr: "THEIRS" },
  ];
  const cloudflare = notingCloud({ "/certificates?zone_id=zone&per_page=50": { result } });
  await afterCreate(() => revokeTwins(cloudflare, "zone"), "kept", "t", { csr: "OURS" });
  expect(cloudflare.writes).toEqual(["DELETE /certificates/twin"]);
});

describe("a client certificate for origin pulls that a lost answer left", () => {
  const type = "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate";
  const inputs = { zoneId: "zone", certificate: "OURS", privateKey: "KEY" };
  const list = "/zones/zone/origin_tls_client_auth?per_page=50";
  beforeEach(noteWords);
  afterEach(() => jest.restoreAllMocks());

  test("is known by its content, whose key nobody else has, and is removed", async () => {
    const result = [
      { id: "gone", certificate: "OURS", status: "pending_deletion" },
      { id: "theirs", certificate: "THEIRS", status: "active" },
      { id: "twin", certificate: "OURS\n", status: "pending_deployment" },
    ];
    const cloudflare = notingCloud({ [list]: { result } });
    expect(await afterFailedCreate({ cloudflare }, type, inputs)).toBe(true);
    expect(cloudflare.writes).toEqual(["DELETE /zones/zone/origin_tls_client_auth/twin"]);
  });

  test("is not looked for twice where the create failed for another reason", async () => {
    const cloudflare = notingCloud({ [list]: { result: [{ id: "theirs", certificate: "THEIRS", status: "active" }] } });
    expect(await afterFailedCreate({ cloudflare }, type, inputs)).toBe(false);
    expect(cloudflare.writes).toEqual([]);
  });
});
