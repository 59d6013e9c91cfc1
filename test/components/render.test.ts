import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { renderManifests, renderTo, secretReferences } from "../../components/render";
import { subjects } from "../rules/platforms.fixture";

const { platform, manifests } = subjects[0]![1];

let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "trivet-render-"))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("writes one object a file, and nothing is lost on the way", () => {
  const files = renderTo(directory, platform);
  const onDisk = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((file) => /\.\w+$/.test(file));
  expect(onDisk.sort()).toEqual([...files].sort());
  const objects = files
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => {
      const documents = parseAllDocuments(readFileSync(join(directory, file), "utf8"));
      expect(documents).toHaveLength(1);
      return (documents as { toJS(): unknown }[])[0]!.toJS();
    });
  const sorted = (list: readonly unknown[]): string[] => list.map((item) => JSON.stringify(item)).sort();
  expect(sorted(objects)).toEqual(sorted(manifests));
});

test("gives the same bytes each time", () => {
  expect(renderManifests(platform)).toEqual(renderManifests(platform));
});

test("takes away what has no object any more, and leaves other people's files", () => {
  renderTo(directory, platform);
  const stale = join(directory, "honeydue", "deployment-old.yaml");
  const notes = join(directory, "honeydue", "notes.txt");
  writeFileSync(stale, "kind: Deployment\n");
  writeFileSync(notes, "mine");
  renderTo(directory, platform);
  expect([existsSync(stale), existsSync(notes)]).toEqual([false, true]);
});

test("says which Secrets are needed and where they come from, without a value", () => {
  expect(secretReferences(platform).split("\n")).toEqual(
    expect.arrayContaining([
      "| honeydue | api-env | Opaque | SESSION_KEY | `pulumi config set --secret sessionKey` |",
      "| honeydue | redis-queue-password | Opaque | auth.conf | generated once, kept in the stack's state |",
      "| ingress | origin-certificate | kubernetes.io/tls | tls.key | its private key, generated |",
    ]),
  );
});
