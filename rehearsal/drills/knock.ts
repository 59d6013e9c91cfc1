import { request as plainRequest } from "node:http";
import { request as tlsRequest, type RequestOptions } from "node:https";

export interface KnockOptions extends Pick<RequestOptions, "cert" | "key"> {
  /** Who asks: an address that the private network has. */
  from: string;
  host: string;
  /** Default `/`. */
  path?: string;
  /** PEM: whom the asker trusts. Default: no certificate of the server's is checked. */
  ca?: string;
  /** Default `https`. */
  scheme?: "http" | "https";
}

const NO_ANSWER_MILLISECONDS = 1_500;

/**
 * What a request straight to a port of a server comes to, past Cloudflare, as anybody may try: `HTTP 200`, with the place where it is led to if there is
 * one; an error's code; or "no answer".
 */
export const knock = (
  address: string,
  port: number,
  { from, host, path = "/", scheme = "https", ...shown }: KnockOptions,
): Promise<string> =>
  new Promise((resolve) => {
    const asked = (scheme === "https" ? tlsRequest : plainRequest)({
      host: address,
      port,
      path,
      headers: { host },
      agent: false,
      timeout: NO_ANSWER_MILLISECONDS,
      localAddress: from,
      ...(scheme === "https" && { servername: host, rejectUnauthorized: shown.ca !== undefined, ...shown }),
    });
    asked.once("response", (response) => {
      response.resume();
      resolve(`HTTP ${response.statusCode} ${response.headers.location ?? ""}`.trimEnd());
    });
    asked.once("timeout", () => asked.destroy(new Error("no answer")));
    asked.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    asked.end();
  });
