import { type EmulatorServer, startEmulatorServer } from "../http";
import { actionRoutes } from "./action-routes";
import { DOCUMENTATION_IPV4_POOL, type Ipv4Pool, isIpv4, toNumber } from "./addresses";
import { Api } from "./api";
import { catalogueRoutes } from "./catalogue-routes";
import { Cloud, type LimitedKind } from "./cloud";
import { ApiError, codeOfStatus, errorBody } from "./errors";
import { firewallRoutes } from "./firewalls";
import { inventory } from "./inventory";
import type { MachineHost } from "./machine-host";
import { networkRoutes } from "./networks";
import { placementGroupRoutes } from "./placement-groups";
import { primaryIpRoutes } from "./primary-ips";
import { createProject, type Project } from "./project";
import { RateLimit } from "./rate-limit";
import { serverActionRoutes } from "./server-actions";
import { serverRoutes } from "./servers";
import { sshKeyRoutes } from "./ssh-keys";
import { Stock, stockRoutes } from "./stock";

export interface HetznerEmulatorOptions {
  /** 64 letters and digits, as real ones. Any other token is `unauthorized`. */
  token: string;
  /** A further token that may only read: anything but GET is `token_readonly`. */
  readOnlyToken?: string;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: a free one. */
  port?: number;
  /** Where public IPv4 addresses come from, lowest first. Default: 203.0.113.11 to .250, which reach nothing. */
  publicIpv4Pool?: Ipv4Pool;
  /** Boots the servers. Default: none; servers only change their status. */
  machineHost?: MachineHost;
  /** How long an action is `running`. Default 200; the real API takes seconds to minutes. */
  actionDurationMilliseconds?: number;
  /** How long the making of a server takes, until it starts; never shorter than any action. Default: 0. The real API: about 12. */
  serverCreateSeconds?: number;
  /** How long a rebuild takes, from the power cut until the server starts again. Default: 0, as above. The real API: about 15. */
  rebuildSeconds?: number;
  /** Default 3600, the project's default at Hetzner. */
  requestsPerHour?: number;
  /** How many of each a project may have. Defaults: 10 servers, 20 Primary IPs, 50 of anything else. */
  limits?: Partial<Record<LimitedKind, number>>;
  /** Pairs of server type and location that are sold out. Default: none. Change it later by `stock`. */
  soldOut?: readonly { serverType: string; location: string }[];
  /** Goes on with the project of an earlier emulator. Default: an empty one. */
  project?: Project;
}

export interface HetznerEmulator extends EmulatorServer {
  /** All that exists. Plain data: give it to the next emulator to survive a restart. */
  readonly project: Project;
  /** Decides at run time what can be had; over HTTP: `PUT /_emulator/stock`. */
  readonly stock: Stock;
}

const DEFAULT_ACTION_DURATION_MILLISECONDS = 200;
const DEFAULT_REQUESTS_PER_HOUR = 3600;
const DEFAULT_LIMITS: Record<LimitedKind, number> = {
  servers: 10,
  primaryIps: 20,
  networks: 50,
  firewalls: 50,
  placementGroups: 50,
  sshKeys: 50,
};
const TOKEN_FORM = /^[A-Za-z0-9]{64}$/;

/** The Hetzner Cloud API v1 of one project, at `<url>/v1`. */
export async function startHetznerEmulator(options: HetznerEmulatorOptions): Promise<HetznerEmulator> {
  checkOptions(options);
  const {
    token,
    readOnlyToken,
    host,
    port,
    publicIpv4Pool = DOCUMENTATION_IPV4_POOL,
    machineHost,
    actionDurationMilliseconds = DEFAULT_ACTION_DURATION_MILLISECONDS,
    serverCreateSeconds,
    rebuildSeconds,
    requestsPerHour = DEFAULT_REQUESTS_PER_HOUR,
    limits,
    soldOut = [],
    project = createProject(),
  } = options;
  const duration = (seconds = 0): number => Math.max(seconds * 1000, actionDurationMilliseconds);
  const stock = new Stock();
  for (const { serverType, location } of soldOut) stock.setAvailable(serverType, location, false);
  const rateLimit = new RateLimit(requestsPerHour);
  const cloud = new Cloud({
    project,
    publicIpv4Pool,
    machineHost,
    actionDurationMilliseconds,
    durationsByCommand: {
      create_server: duration(serverCreateSeconds),
      rebuild_server: duration(rebuildSeconds),
    },
    limits: { ...DEFAULT_LIMITS, ...limits },
    stock,
  });

  const server = await startEmulatorServer({
    name: "Hetzner emulator",
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    inventory: () => inventory(cloud),
    steering: (app) => stockRoutes(app, stock),
    secretFields: ["user_data"],
    errorAnswer: (status, message) => ({
      headers: rateLimit.headers(),
      body: errorBody(codeOfStatus(status), message),
    }),
    routes: async (app) => {
      app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
        if (error instanceof ApiError) return reply.status(error.status).send(error.body);
        const status = error.statusCode ?? 500;
        return reply.status(status).send(errorBody(codeOfStatus(status), error.message));
      });
      app.addHook("onRequest", async (request, reply) => {
        const isAllowed = rateLimit.take();
        reply.headers(rateLimit.headers());
        // Requests count whether authenticated or not.
        if (!isAllowed)
          throw new ApiError("rate_limit_exceeded", `limit of ${requestsPerHour} requests per hour reached`);
        const given = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
        if (given === undefined || (given !== token && given !== readOnlyToken)) {
          throw new ApiError("unauthorized", "the token you are using is invalid");
        }
        if (given !== token && request.method !== "GET") {
          throw new ApiError("token_readonly", "the token is only allowed to perform GET requests");
        }
        await cloud.actions.settle();
      });
      await app.register(
        async (v1) => {
          const api = new Api(v1);
          catalogueRoutes(api, cloud);
          actionRoutes(api, cloud);
          sshKeyRoutes(api, cloud);
          networkRoutes(api, cloud);
          firewallRoutes(api, cloud);
          placementGroupRoutes(api, cloud);
          primaryIpRoutes(api, cloud);
          serverRoutes(api, cloud);
          serverActionRoutes(api, cloud);
        },
        { prefix: "/v1" },
      );
    },
  });

  return {
    ...server,
    project,
    stock,
    close: async () => {
      cloud.actions.stop();
      await server.close();
    },
  };
}

function checkOptions({
  token,
  readOnlyToken,
  publicIpv4Pool,
  actionDurationMilliseconds,
  serverCreateSeconds,
  rebuildSeconds,
  requestsPerHour,
}: HetznerEmulatorOptions): void {
  for (const [setting, value] of Object.entries({ token, readOnlyToken })) {
    if (value !== undefined && !TOKEN_FORM.test(value)) {
      throw new Error(
        `Hetzner emulator: ${setting} has ${value.length} characters; a Hetzner token is 64 letters and digits`,
      );
    }
  }
  if (publicIpv4Pool !== undefined) {
    const { first, last } = publicIpv4Pool;
    if (!isIpv4(first) || !isIpv4(last) || toNumber(first) > toNumber(last)) {
      throw new Error(
        `Hetzner emulator: publicIpv4Pool goes from "${first}" to "${last}"; both must be IPv4 addresses, the lower one first`,
      );
    }
  }
  for (const [setting, value, least] of [
    ["actionDurationMilliseconds", actionDurationMilliseconds, 0],
    ["serverCreateSeconds", serverCreateSeconds, 0],
    ["rebuildSeconds", rebuildSeconds, 0],
    ["requestsPerHour", requestsPerHour, 1],
  ] as const) {
    if (value !== undefined && !(Number.isFinite(value) && value >= least)) {
      throw new Error(`Hetzner emulator: ${setting} is ${value}; allowed is a number from ${least}`);
    }
  }
}
