import type { Duplex } from "node:stream";
import { z } from "zod";

/**
 * What a connector and the edge say to each other beside the requests. The transport is cloudflared's "http2": the connector dials, and then
 * serves HTTP/2 on that very connection while the edge is the client. Its first stream carries these messages, one JSON document a line, in place
 * of Cloudflare's Cap'n Proto calls of the same names.
 */
export const UPGRADE_HEADER = "cf-cloudflared-proxy-connection-upgrade";

const fromConnector = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("register"),
    account: z.string(),
    tunnel: z.string(),
    secret: z.string(),
    connectorId: z.uuid(),
    index: z.int().min(0),
    version: z.string(),
  }),
  /** No more requests, please; those under way are finished. */
  z.object({ type: z.literal("unregister") }),
]);
export type FromConnector = z.infer<typeof fromConnector>;

const configuration = z.object({ version: z.int(), config: z.looseObject({}).nullable() });
const fromEdge = z.discriminatedUnion("type", [
  z.object({ type: z.literal("registered"), id: z.uuid(), location: z.string() }),
  z.object({ type: z.literal("refused"), reason: z.string() }),
  z.object({ type: z.literal("configuration"), ...configuration.shape }),
  z.object({ type: z.literal("unregistered") }),
]);
export type FromEdge = z.infer<typeof fromEdge>;

export const sayToEdge = (stream: Duplex, message: FromConnector): void => say(stream, message);
export const sayToConnector = (stream: Duplex, message: FromEdge): void => say(stream, message);
export const hearConnector = (stream: Duplex, heard: (message: FromConnector) => void): void =>
  hear(stream, (line) => heard(fromConnector.parse(line)));
export const hearEdge = (stream: Duplex, heard: (message: FromEdge) => void): void =>
  hear(stream, (line) => heard(fromEdge.parse(line)));

function say(stream: Duplex, message: object): void {
  if (!stream.writable) return;
  stream.write(`${JSON.stringify(message)}\n`);
}

/** A line that is no message ends the connection: who speaks another language is no connector. */
function hear(stream: Duplex, heard: (message: unknown) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("error", () => undefined);
  stream.on("data", (part: string) => {
    const lines = (rest + part).split("\n");
    rest = lines.pop() ?? "";
    try {
      for (const line of lines) heard(JSON.parse(line));
    } catch {
      stream.destroy();
    }
  });
}
