import { labelsOf } from "../labels";
import { hasCode } from "../client";
import { isNumeric, type ResourceType } from "../resource-type";
import { text, textMap } from "../schema";

interface SshKey {
  id: number;
  name: string;
  fingerprint: string;
  public_key: string;
  labels: Record<string, string>;
}

export const sshKey: ResourceType = {
  token: "hcloud:index/sshKey:SshKey",
  terraformType: "hcloud_ssh_key",
  dialect: "framework",
  fields: {
    name: text({ autoNamed: true, description: "Name of the SSH Key." }),
    publicKey: text({
      required: true,
      replaces: true,
      description:
        "Public key of the SSH Key pair. If this is a file, it can be read using the `file` interpolation function.",
    }),
    labels: textMap({ default: {} }),
    fingerprint: text({ output: true }),
  },
  async create({ client, signal, created }, inputs, { name, publicKey }) {
    const body = { name, public_key: publicKey, labels: labelsOf(inputs) };
    const { ssh_key: key } = await client.post<{ ssh_key: SshKey }>("/ssh_keys", body, signal);
    created(String(key.id));
  },
  async read({ client, signal }, id, { publicKey }) {
    if (!isNumeric(id)) return undefined;
    const answer = await client.find<{ ssh_key: SshKey }>(`/ssh_keys/${id}`, signal);
    if (!answer) return undefined;
    const { name, fingerprint, labels, public_key } = answer.ssh_key;
    // The API trims the key; what the program wrote stays where it is the same key.
    const isSame = typeof publicKey === "string" && publicKey.trim() === public_key.trim();
    return { name, fingerprint, labels, publicKey: isSame ? publicKey : public_key };
  },
  async update({ client, signal }, id, { planned, has, inputs }) {
    if (has("name")) await client.put(`/ssh_keys/${id}`, { name: planned["name"] }, signal);
    if (has("labels")) await client.put(`/ssh_keys/${id}`, { labels: labelsOf(inputs) ?? {} }, signal);
  },
  async delete({ client, signal }, id) {
    await client.delete(`/ssh_keys/${id}`, signal).catch((error: unknown) => {
      if (!hasCode(error, "not_found")) throw error;
    });
  },
};
