import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { compareEscrow, lockEscrow, lockKind, openEscrow } from "../../operations/escrow";
import { type EscrowContent, escrowContent } from "../../operations/escrow-content";
import { madeEscrow } from "./support/fixtures";

const PASSPHRASE = "correct horse battery staple";

describe("an escrow file", () => {
  let content: EscrowContent;
  let locked: Buffer;

  beforeAll(async () => {
    content = await madeEscrow();
    locked = Buffer.from(await lockEscrow(content, { passphrase: PASSPHRASE, scryptLog2N: 10 }));
  });

  test("gives back what went in, to the same passphrase", async () => {
    expect(lockKind(locked)).toBe("passphrase");
    expect(await openEscrow(locked, { passphrase: PASSPHRASE })).toEqual(content);
  });

  test("shows nothing of what is in it, in any usual encoding", () => {
    const text = locked.toString();
    const hidden = ["sentinel-server-token", "sentinel-agent-token", "BEGIN EC PRIVATE KEY", "honeydue"];
    const forms = hidden.flatMap((one) => [one, Buffer.from(one).toString("base64").replace(/=+$/, "").slice(0, -1)]);
    expect(forms.filter((form) => text.includes(form))).toEqual([]);
    expect(text.startsWith("-----BEGIN AGE ENCRYPTED FILE-----")).toBe(true);
  });

  test("stays closed to another passphrase, and says so without a word of what is in it", async () => {
    await expect(openEscrow(locked, { passphrase: "another passphrase" })).rejects.toThrow(/does not open/);
  });

  test("stays closed once a byte of it was changed", async () => {
    const lines = locked.toString().split("\n");
    const middle = lines[10] ?? "";
    lines[10] = (middle.startsWith("A") ? "B" : "A") + middle.slice(1);
    await expect(openEscrow(Buffer.from(lines.join("\n")), { passphrase: PASSPHRASE })).rejects.toThrow(
      /does not open/,
    );
  });

  test("opens for each of its recipients and for nobody else", async () => {
    const [one, other, stranger] = await Promise.all([1, 2, 3].map(() => generateX25519Identity()));
    const recipients = await Promise.all([one, other].map((identity) => identityToRecipient(identity!)));
    const file = Buffer.from(await lockEscrow(content, { recipients }));
    expect(lockKind(file)).toBe("recipients");
    expect(await openEscrow(file, { identities: [one!] })).toEqual(content);
    expect(await openEscrow(file, { identities: [stranger!, other!] })).toEqual(content);
    await expect(openEscrow(file, { identities: [stranger!] })).rejects.toThrow(/does not open/);
  });

  test("is refused when a recipient or the file is none of age's", async () => {
    await expect(lockEscrow(content, { recipients: ["ssh-ed25519 AAAA"] })).rejects.toThrow(/no recipient of age/);
    expect(() => lockKind(Buffer.from("secret: value\n"))).toThrow(/no file of the age format/);
  });

  test("is not made from an output of another form; the message names the place and no value", () => {
    const broken = { ...content, secrets: { ...content.secrets, serverToken: 7 } };
    expect(() => escrowContent(broken)).toThrow(/secrets\.serverToken/);
    expect(() => escrowContent(broken)).not.toThrow(/sentinel/);
    expect(() => escrowContent(undefined)).toThrow(/pulumi up/);
  });
});

describe("whether an escrow fits a stack", () => {
  let known: EscrowContent;
  beforeAll(async () => {
    known = await madeEscrow();
  });

  const failures = (escrow: EscrowContent): string[] =>
    compareEscrow(escrow, known).flatMap(({ ok, what, detail }) => (ok ? [] : [`${what}: ${detail}`]));

  test("the stack's own fits, and nothing secret is in the answer", () => {
    const comparisons = compareEscrow(structuredClone(known), known);
    expect(comparisons.map(({ what }) => what)).toEqual([
      "platform",
      "generation",
      "authority server",
      "authority client",
      "authority requestHeader",
      "authority etcdPeer",
      "authority etcdServer",
      "service account key",
      "server token",
      "agent token",
    ]);
    expect(comparisons.every(({ ok }) => ok)).toBe(true);
    expect(JSON.stringify(comparisons)).not.toMatch(/sentinel|PRIVATE/);
  });

  test("one of an older generation does not, although it opens", async () => {
    const older = await madeEscrow({ generation: 0 });
    expect(failures(older)).toEqual([
      "generation: 0; the stack is at 1: write a new escrow",
      ...["server", "client", "requestHeader", "etcdPeer", "etcdServer"].map(
        (name): unknown => expect.stringMatching(`^authority ${name}: SHA-256 .* the stack's is `) as unknown,
      ),
    ]);
  });

  test("a key that is not its certificate's is found, though the fingerprint is right", async () => {
    const other = await madeEscrow();
    const swapped = structuredClone(known);
    swapped.secrets.authorities["client"]!.privateKeyPem = other.secrets.authorities["client"]!.privateKeyPem;
    expect(failures(swapped)).toEqual(["authority client: its key does not fit its certificate"]);
  });

  test("another token and a missing authority are named", () => {
    const changed = structuredClone(known);
    changed.secrets.serverToken += "x";
    delete changed.secrets.authorities["etcdPeer"];
    expect(failures(changed)).toEqual([
      "authority etcdPeer: missing in the escrow",
      "server token: another than in the stack",
    ]);
  });
});
