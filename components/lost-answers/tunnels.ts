import * as pulumi from "@pulumi/pulumi";
import type { CloudApi } from "../cloud-api";
import { type Find, type Finders, plain } from "./left";

export const TUNNEL = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared";

const find: Find = async ({ cloudflare }, inputs, mine) => {
  const [account, name] = [String(inputs["accountId"]), String(inputs["name"])];
  const collection = `/accounts/${account}/cfd_tunnel`;
  const query = new URLSearchParams({ name, is_deleted: "false" });
  const answer = await cloudflare.get<{ result: { id: string; connections?: unknown[] }[] }>(
    `${collection}?${query.toString()}`,
  );
  const tunnel = answer?.result[0];
  if (tunnel === undefined) return undefined;
  const token = await cloudflare.get<{ result: string }>(`${collection}/${tunnel.id}/token`);
  const which = name.endsWith("-operators") ? "operators" : "users";
  return {
    title: `tunnel ${name} (id ${tunnel.id})`,
    // It has no field for a mark, but the secret that this run has drawn, and that nobody else has.
    mark: secretOf(token?.result) === (await plain(inputs["tunnelSecret"])) ? mine : undefined,
    inUse: (tunnel.connections ?? []).length > 0 ? "connectors are connected to it" : undefined,
    otherwise: `Take it over: pulumi config set --path trivet:adoptTunnels.${which} ${tunnel.id}; or delete it at Cloudflare`,
    remove: async () => {
      await cloudflare.send("DELETE", `${collection}/${tunnel.id}`);
    },
  };
};

export const TUNNELS: Finders = { [TUNNEL]: find };

/** The secret in a connector's token (see `tokenOf` in edge/tunnel.ts). */
function secretOf(token: string | undefined): string | undefined {
  if (token === undefined) return undefined;
  try {
    return (JSON.parse(Buffer.from(token, "base64").toString()) as { s?: string }).s;
  } catch {
    return undefined;
  }
}

/**
 * Cloudflare deletes no tunnel that has connections, and keeps those of a connector that was killed for a while. What is left of them is
 * dropped, and the delete tried again. (A plain `pulumi destroy` runs no program, and so not this: it takes the connectors away before,
 * and a second one succeeds.)
 */
export async function dropConnections(
  cloudflare: CloudApi,
  { id, oldInputs }: Pick<pulumi.ErrorHookArgs, "id" | "oldInputs">,
): Promise<boolean> {
  const account = String(await plain(oldInputs?.["accountId"]));
  try {
    await cloudflare.send("DELETE", `/accounts/${account}/cfd_tunnel/${id}/connections`);
    return true;
  } catch (error) {
    void pulumi.log.debug(`dropping the connections of tunnel ${id}: ${String(error)}`);
    return false;
  }
}
