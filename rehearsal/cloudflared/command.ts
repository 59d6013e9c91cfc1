import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FrontDoor } from "../emulators/cloudflare/door";

/**
 * Makes a command `cloudflared` for whoever has the folder on PATH, which speaks to this edge: what a program or a person starts who wants
 * to pass Cloudflare Access. `file` is the bundled stand-in. Returns the folder.
 */
export function cloudflaredCommand(
  file: string,
  { https, authorityPem }: Pick<FrontDoor, "https" | "authorityPem">,
  folder: string,
): string {
  const authority = join(folder, "edge-authority.pem");
  writeFileSync(authority, authorityPem);
  const variables = { REHEARSAL_EDGE_HTTPS: https, REHEARSAL_EDGE_AUTHORITY: authority };
  const lines = [
    "#!/bin/sh",
    ...Object.entries(variables).map(([name, value]) => `export ${name}='${value}'`),
    `exec '${process.execPath}' '${file}' "$@"`,
    "",
  ];
  writeFileSync(join(folder, "cloudflared"), lines.join("\n"), { mode: 0o755 });
  return folder;
}
