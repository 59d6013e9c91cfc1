import { createHash } from "node:crypto";
import { type Api, checkUniqueName, found, listed } from "./api";
import type { Cloud } from "./cloud";
import { invalidField, notUnique } from "./errors";
import type { Labels } from "./label-selector";
import { sshKeyView } from "./views";

const KIND = "SSH key";

/** Legacy MD5 form, as the API has it. */
function fingerprintOf(publicKey: string): string {
  const [type = "", encoded = ""] = publicKey.trim().split(/\s+/);
  const blob = Buffer.from(encoded, "base64");
  // A key begins with the length and the name of its type, the same that stands before it.
  const named = blob.length > 4 ? blob.subarray(4, 4 + blob.readUInt32BE(0)).toString("latin1") : "";
  if (named === "" || named !== type) throw invalidField("public_key", "is not a valid SSH public key");
  return createHash("md5").update(blob).digest("hex").match(/../g)!.join(":");
}

export function sshKeyRoutes(api: Api, cloud: Cloud): void {
  const { sshKeys } = cloud.project;

  api.get("/ssh_keys", ({ query }) =>
    listed("ssh_keys", sshKeys.values(), query, sshKeyView, { filters: { fingerprint: (key) => key.fingerprint } }),
  );
  api.get("/ssh_keys/{id}", ({ id }) => ({ ssh_key: sshKeyView(found(sshKeys, id, KIND)) }));

  api.post<{ name: string; public_key: string; labels?: Labels | null }>("/ssh_keys", ({ body }) => {
    const fingerprint = fingerprintOf(body.public_key);
    checkUniqueName(sshKeys.values(), body.name, { message: "SSH key name is already used" });
    if ([...sshKeys.values()].some((key) => key.fingerprint === fingerprint)) {
      throw notUnique("SSH key with the same fingerprint already exists", "public_key");
    }
    cloud.checkLimit("sshKeys", "ssh_key");
    const key = {
      id: cloud.newId(),
      name: body.name,
      labels: body.labels ?? {},
      created: new Date().toISOString(),
      fingerprint,
      publicKey: body.public_key,
    };
    sshKeys.set(key.id, key);
    return { ssh_key: sshKeyView(key) };
  });

  api.put<{ name?: string; labels?: Labels | null }>("/ssh_keys/{id}", ({ id, body }) => {
    const key = found(sshKeys, id, KIND);
    if (body.name !== undefined) {
      checkUniqueName(sshKeys.values(), body.name, { except: id, message: "SSH key name is already used" });
      key.name = body.name;
    }
    if (body.labels) key.labels = body.labels;
    return { ssh_key: sshKeyView(key) };
  });

  api.delete("/ssh_keys/{id}", ({ id }) => {
    found(sshKeys, id, KIND);
    sshKeys.delete(id);
  });
}
