import { request } from "node:https";
import type { FrontDoor } from "../emulators/cloudflare/door";
import { OPERATOR_ADDRESS } from "../wire/addresses";
import type { Route } from "./routes";

export interface VisitOptions {
  method?: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** The visitor's own address; one that the private network has. Default: the machine's. */
  from?: string;
}

export interface Visit {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: string;
  milliseconds: number;
}

const TIMEOUT_MILLISECONDS = 10_000;

/** One HTTPS request of a visitor who trusts the edge's authority; a connection of its own. */
export function visitThrough({ https, authorityPem }: FrontDoor, url: string, options: VisitOptions): Promise<Visit> {
  const { hostname, host, pathname, search } = new URL(url);
  const { method = "GET", headers = {}, body, from } = options;
  const door = new URL(https);
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const asked = request({
      host: door.hostname,
      port: door.port,
      servername: hostname,
      ca: authorityPem,
      agent: false,
      method,
      path: `${pathname}${search}`,
      headers: { host, ...headers },
      timeout: TIMEOUT_MILLISECONDS,
      ...(from === undefined ? {} : { localAddress: from }),
    });
    asked.once("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.once("error", reject);
      response.once("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: text,
          milliseconds: performance.now() - began,
        }),
      );
    });
    asked.once("timeout", () => asked.destroy(new Error(`no answer within ${TIMEOUT_MILLISECONDS / 1000} s`)));
    asked.once("error", reject);
    asked.end(body);
  });
}

/** A route that looks whole is walked by an operator's request, too, whom no guard stops; its path then ends with what answered. */
export async function answeredRoute(door: FrontDoor, route: Route): Promise<Route> {
  if (!route.ok) return route;
  const url = `https://${route.host}/`;
  try {
    const { status, headers, milliseconds } = await visitThrough(door, url, { from: OPERATOR_ADDRESS });
    const pod = headers["x-rehearsal-pod"];
    if (status === 200 && typeof pod === "string")
      return { ...route, path: [...route.path, `a request: 200 from ${pod} after ${milliseconds.toFixed(0)} ms`] };
    const reason = headers["x-rehearsal-reason"];
    return failed(route, `${url} answers ${status}${typeof reason === "string" ? `: ${reason}` : ""}`);
  } catch (error) {
    return failed(route, `${url}: ${(error as Error).message}`);
  }
}

const failed = (route: Route, problem: string): Route => ({
  ...route,
  ok: false,
  problems: [...route.problems, problem],
});
