import type { CloudApi } from "../../components/cloud-api";

/** A cloud of paths and answers; a deletion takes the path's answer away, and all writes are noted. */
export function notingCloud(answers: Record<string, unknown>): CloudApi & { writes: string[] } {
  const writes: string[] = [];
  return {
    writes,
    get: async <T>(path: string) => answers[path] as T | undefined,
    send: async <T>(method: string, path: string, body?: unknown) => {
      writes.push(`${method} ${path}${body === undefined ? "" : ` ${JSON.stringify(body)}`}`);
      if (method === "DELETE") delete answers[path];
      if (path.endsWith("attach_to_network")) {
        const id = path.split("/")[2];
        answers[`/servers/${id}`] = { server: { private_net: [{ network: (body as { network: number }).network }] } };
      }
      return undefined as T | undefined;
    },
  };
}
