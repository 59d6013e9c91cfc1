import { setTimeout as sleep } from "node:timers/promises";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { z } from "zod";
import { Faults, faultSchema } from "./faults";
import { Journal, type JournalEntry } from "./journal";

/** How long a call under way may take to end when the emulator closes; then its connection is cut. */
const CLOSE_GRACE_MILLISECONDS = 1000;

/** Above every body the clouds take (Hetzner user data: 32 KiB). */
const BODY_LIMIT_BYTES = 16 * 1024 * 1024;

export interface ErrorAnswer {
  headers?: Readonly<Record<string, string>>;
  body: unknown;
}

export interface EmulatorOptions {
  /** For messages: "Hetzner emulator". */
  name: string;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: a free one. */
  port?: number;
  /** The inventory, for `GET /_emulator/state`: everything a client has made and not deleted. No secrets. */
  inventory: () => unknown;
  /** Adds routes below `/_emulator` by which this cloud alone can be steered. */
  steering?: (app: FastifyInstance) => void;
  /** Adds the cloud's routes, hooks and error handler. */
  routes: (app: FastifyInstance) => void | Promise<void>;
  /**
   * The cloud's own form of an error, used where no route is reached: 400 (malformed JSON), 404 (no such route), 429 and any
   * other status that a fault asks for, 500 (the emulator itself failed).
   */
  errorAnswer: (status: number, message: string) => ErrorAnswer;
  /** Body fields that the journal must not show, beside those that are secret by their name. */
  secretFields?: readonly string[];
  /** Largest body that is taken. Default: above every body the clouds take. */
  bodyLimitBytes?: number;
}

export interface EmulatorServer {
  /** `http://127.0.0.1:port`, without a path. */
  readonly url: string;
  readonly journal: Journal;
  readonly faults: Faults;
  /** Ends calls under way within a second and kept-alive connections at once. May be called twice. */
  close(): Promise<void>;
}

declare module "fastify" {
  interface FastifyRequest {
    journalEntry?: JournalEntry;
    /** On the clock of `performance.now()`. */
    arrivedAt?: number;
    fault?: ReturnType<Faults["next"]>;
  }
}

/**
 * The HTTP side that all emulators share: one Fastify server with a journal of all calls, faults on demand, and the
 * `/_emulator` routes to steer both from outside (no token, not journaled):
 *
 *   GET    /_emulator/state        the inventory
 *   GET    /_emulator/journal      DELETE clears it
 *   GET    /_emulator/faults       POST adds one, DELETE removes all, DELETE /_emulator/faults/:id one
 *
 * A fault hits after the cloud's `onRequest` hooks (authentication, rate limit) and before its handler.
 */
export async function startEmulatorServer(options: EmulatorOptions): Promise<EmulatorServer> {
  const { name, host = "127.0.0.1", port = 0, inventory, steering, routes, errorAnswer, secretFields = [] } = options;
  const { bodyLimitBytes = BODY_LIMIT_BYTES } = options;
  const journal = new Journal({ secretFields });
  const faults = new Faults();
  const app = fastify({ bodyLimit: bodyLimitBytes, routerOptions: { ignoreTrailingSlash: true } });

  const ended = new AbortController();

  const fail = (reply: FastifyReply, status: number, message: string) => {
    const { headers = {}, body } = errorAnswer(status, message);
    return reply.status(status).headers(headers).send(body);
  };

  // Clients send "Content-Type: application/json" with an empty body on actions without arguments; Fastify's own parser refuses that.
  app.removeContentTypeParser("application/json");
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, text, done) => {
    if (text === "") return done(null, undefined);
    try {
      done(null, JSON.parse(text as string));
    } catch {
      done(Object.assign(new Error("the body is not valid JSON"), { statusCode: 400 }));
    }
  });

  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) =>
    fail(reply, error.statusCode ?? 500, error.message),
  );
  app.setNotFoundHandler((request, reply) => fail(reply, 404, `no route ${request.method} ${pathOf(request)}`));

  app.addHook("onRequest", async (request) => {
    if (isOwnRoute(request)) return;
    const query = request.query as JournalEntry["query"];
    request.arrivedAt = performance.now();
    request.journalEntry = journal.begin({ method: request.method, path: pathOf(request), query });
  });
  app.addHook("preHandler", async (request, reply) => {
    const entry = request.journalEntry;
    if (entry === undefined) return;
    journal.noteBody(entry, request.body);
    const fault = faults.next(entry);
    if (fault === undefined) return;
    request.fault = fault;
    entry.fault = { id: fault.id, effect: fault.effect };
    switch (fault.effect) {
      case "delay":
        await sleep(fault.milliseconds, undefined, { signal: ended.signal });
        return;
      case "drop-before":
        cutConnection(request, reply);
        return reply;
      case "rate-limit":
        return fail(reply, 429, "a fault asked for this");
      case "fail":
        if (fault.body === undefined) return fail(reply, fault.status, "a fault asked for this");
        return reply.status(fault.status).send(fault.body);
      case "drop-after":
      case "cut":
        return;
    }
  });
  app.addHook("onSend", async (request, reply, payload) => {
    const entry = request.journalEntry;
    if (entry === undefined) return payload;
    entry.status = reply.statusCode;
    entry.durationMilliseconds = Math.round(performance.now() - (request.arrivedAt ?? 0));
    if (request.fault?.effect === "drop-after" || request.fault?.effect === "cut") cutConnection(request, reply);
    return payload;
  });

  await app.register(
    async (own) => {
      steer(own, { journal, faults, inventory });
      steering?.(own);
    },
    { prefix: OWN_PREFIX },
  );
  await app.register(async (cloud) => routes(cloud));
  await listen(app, { name, host, port });

  const address = app.server.address();
  if (address === null || typeof address === "string") throw new Error(`${name}: no port after listening on ${host}`);

  let closing: Promise<void> | undefined;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}`,
    journal,
    faults,
    close: () => (closing ??= close(app, ended)),
  };
}

const OWN_PREFIX = "/_emulator";

const pathOf = (request: FastifyRequest): string => request.url.split("?", 1)[0] ?? request.url;

const isOwnRoute = (request: FastifyRequest): boolean => pathOf(request).startsWith(OWN_PREFIX);

function cutConnection(request: FastifyRequest, reply: FastifyReply): void {
  reply.hijack();
  request.raw.socket.destroy();
}

function steer(
  app: FastifyInstance,
  { journal, faults, inventory }: { journal: Journal; faults: Faults; inventory: () => unknown },
): void {
  app.get("/state", async () => inventory());
  app.get("/journal", async () => ({ entries: journal.entries() }));
  app.delete("/journal", async (_request, reply) => {
    journal.clear();
    return reply.status(204).send();
  });
  app.get("/faults", async () => ({ faults: faults.entries() }));
  app.post("/faults", async (request, reply) => {
    const asked = faultSchema.safeParse(request.body);
    if (!asked.success) return reply.status(400).send({ error: z.prettifyError(asked.error) });
    return reply.status(201).send(faults.add(asked.data));
  });
  app.delete("/faults", async (_request, reply) => {
    faults.clear();
    return reply.status(204).send();
  });
  app.delete<{ Params: { id: string } }>("/faults/:id", async (request, reply) =>
    faults.remove(Number(request.params.id))
      ? reply.status(204).send()
      : reply.status(404).send({ error: `no fault ${request.params.id}; GET ${OWN_PREFIX}/faults lists them` }),
  );
}

async function listen(app: FastifyInstance, at: { name: string; host: string; port: number }): Promise<void> {
  try {
    await app.listen({ host: at.host, port: at.port });
  } catch (cause) {
    await app.close();
    throw new Error(`${at.name}: ${listenProblem(cause, at)}`, { cause });
  }
}

function listenProblem(cause: unknown, { host, port }: { host: string; port: number }): string {
  switch ((cause as NodeJS.ErrnoException).code) {
    case "EADDRINUSE":
      return (
        `port ${port} on ${host} is taken by another process. ` +
        `Choose another with --port (0 takes a free one), or end that process (on Linux "ss -ltnp sport = :${port}" names it).`
      );
    case "EADDRNOTAVAIL":
      return (
        `${host} is no address of this machine. Use 127.0.0.1, or on macOS add the loopback address first: ` +
        `sudo ifconfig lo0 alias ${host}`
      );
    case "EACCES":
      return `this user may not listen on port ${port}. Choose one above 1023 with --port.`;
    default:
      return `cannot listen on ${host} port ${port}: ${(cause as Error).message}`;
  }
}

async function close(app: FastifyInstance, ended: AbortController): Promise<void> {
  const cut = setTimeout(() => {
    app.server.closeAllConnections();
    ended.abort();
  }, CLOSE_GRACE_MILLISECONDS);
  await app.close();
  clearTimeout(cut);
}
