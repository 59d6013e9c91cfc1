import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServerFiles } from "../../../rehearsal/k3s/host";
import { nodePassword } from "../../../rehearsal/k3s/server";

describe("the password of a node", () => {
  const root = mkdtempSync(join(tmpdir(), "trivet-node-password-"));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  test("is the line that the user-data brought, without its line break", async () => {
    const files = new ServerFiles(join(root, "placed"), join(root, "logs"));
    await files.write("/etc/rancher/node/password", "0123456789abcdef\n");
    expect(await nodePassword({ files })).toBe("0123456789abcdef");
  });

  test("is made once where there is none", async () => {
    const files = new ServerFiles(join(root, "none"), join(root, "logs"));
    const made = await nodePassword({ files });
    expect(made).toMatch(/^[0-9a-f]{32}$/);
    expect(await nodePassword({ files })).toBe(made);
  });
});
