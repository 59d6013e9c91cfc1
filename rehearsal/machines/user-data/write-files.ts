import { gunzipSync } from "node:zlib";
import type { Problem } from "../../k3s/boot-failure";
import { FileTree } from "../../k3s/file-tree";
import type { WrittenFile } from "./cloud-config";

/** Applies `write_files` in cloud-init's order: all in the given order, those with `defer: true` at the end. */
export function applyWriteFiles(
  files: readonly WrittenFile[],
  usersMadeLater: readonly string[],
): { tree: FileTree; problems: Problem[] } {
  const tree = new FileTree();
  const problems: Problem[] = [];
  const inOrder = files.map((file, index) => ({ file, index }));
  const ordered = [...inOrder.filter(({ file }) => !file.defer), ...inOrder.filter(({ file }) => file.defer)];
  for (const { file, index } of ordered) {
    const where = `cloud-config: write_files[${index}] (${file.path})`;
    const content = decode(file);
    if (typeof content === "string") {
      problems.push({ where, what: content });
      continue;
    }
    const ownerUser = file.owner.split(":")[0]!;
    if (!file.defer && usersMadeLater.includes(ownerUser))
      problems.push({
        where,
        what: `owner "${ownerUser}" does not exist yet when write_files runs; add "defer: true"`,
      });
    const before = tree.get(file.path);
    if (before && !file.append && !file.defer)
      problems.push({ where, what: "the same path is written twice; the second would silently replace the first" });
    tree.put(file.path, {
      content: file.append && before ? Buffer.concat([before.content, content]) : content,
      mode: Number.parseInt(file.permissions, 8),
      owner: file.owner,
    });
  }
  return { tree, problems };
}

/** The file's bytes, or what is wrong with its encoding. */
function decode({ content, encoding }: WrittenFile): Buffer | string {
  if (encoding === "text/plain") return Buffer.from(content, "utf8");
  const isBase64 = /b64|base64/.test(encoding);
  const isGzip = encoding.startsWith("gz");
  // gzip without base64 cannot stand in YAML text; cloud-init takes it only as a binary node.
  if (!isBase64) return `encoding "${encoding}" needs binary content; use "gzip+base64"`;
  const compact = content.replace(/\s+/g, "");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact) || compact.length % 4 !== 0)
    return `content is not base64, but its encoding says "${encoding}"`;
  const bytes = Buffer.from(compact, "base64");
  if (!isGzip) return bytes;
  try {
    return gunzipSync(bytes);
  } catch {
    return `content is not gzip, but its encoding says "${encoding}"`;
  }
}
