import { createSocket } from "node:dgram";
import { createServer, type AddressInfo, type Socket } from "node:net";
import * as packet from "dns-packet";
import { zoneOfName } from "../emulators/cloudflare/door/resolve";
import type { DnsRecord } from "../emulators/cloudflare/dns-records";
import type { CloudflareState } from "../emulators/cloudflare/state";

export interface NameServerOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Until a record that was made or removed by the API is seen here, as Cloudflare's servers take a moment. Default 300. */
  readonly lagMilliseconds?: number;
}

export interface NameServer {
  /** `127.0.0.1:port`, over UDP and TCP. */
  readonly address: string;
  /** What was asked, oldest first: `TXT _acme-challenge.honeydue.example`. */
  readonly questions: readonly string[];
  /** While it is true, every question stays without an answer. */
  silent: boolean;
  close(): Promise<void>;
}

/** Ports that are free on TCP may be taken on UDP. */
const PORT_TRIES = 20;
const AUTOMATIC_TTL_SECONDS = 300;
const NEGATIVE_TTL_SECONDS = 5;
/** How exactly the lag is kept. */
const LOOK_MILLISECONDS = 25;

/** A DNS server that is authoritative for the emulated zones: what their records say, except those that are proxied. */
export async function startNameServer(
  state: CloudflareState,
  { host = "127.0.0.1", lagMilliseconds = 300 }: NameServerOptions = {},
): Promise<NameServer> {
  const questions: string[] = [];
  const sockets = new Set<Socket>();
  const zones = new LaggingZones(state, lagMilliseconds);
  const looking = setInterval(() => zones.look(), LOOK_MILLISECONDS);
  let silent = false;
  const answer = (query: Buffer): packet.Packet | undefined => {
    const asked = packet.decode(query);
    const [question] = asked.questions ?? [];
    if (silent || asked.type !== "query" || question === undefined) return undefined;
    questions.push(`${question.type} ${question.name.toLowerCase()}`);
    return { ...zones.answer(question), type: "response", id: asked.id ?? 0, questions: [question] };
  };

  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    let received = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const length = received.readUInt16BE(0);
        const response = answer(received.subarray(2, 2 + length));
        received = received.subarray(2 + length);
        if (response !== undefined) socket.write(packet.streamEncode(response));
      }
    });
  });
  const { udp, port } = await listen(host, tcp);
  udp.on("message", (message, { port: from, address }) => {
    const response = answer(message);
    if (response !== undefined) udp.send(packet.encode(response), from, address);
  });

  return {
    address: `${host}:${port}`,
    questions,
    get silent() {
      return silent;
    },
    set silent(value) {
      silent = value;
    },
    close: async () => {
      clearInterval(looking);
      for (const socket of sockets) socket.destroy();
      await Promise.all([
        new Promise<void>((done) => udp.close(() => done())),
        new Promise<void>((done) => tcp.close(() => done())),
      ]);
    },
  };
}

async function listen(host: string, tcp: ReturnType<typeof createServer>) {
  for (let tries = 1; ; tries++) {
    await new Promise<void>((resolve, reject) => tcp.once("error", reject).listen(0, host, resolve));
    const { port } = tcp.address() as AddressInfo;
    const udp = createSocket("udp4");
    try {
      await new Promise<void>((resolve, reject) => udp.once("error", reject).bind(port, host, resolve));
      return { udp, port };
    } catch (error) {
      udp.close();
      await new Promise<void>((done) => tcp.close(() => done()));
      if (tries === PORT_TRIES) throw error;
    }
  }
}

/** The zones as they were a moment ago. */
class LaggingZones {
  readonly #state: CloudflareState;
  readonly #lag: number;
  /** When each record was first and last seen, on the clock of `performance.now()`. */
  readonly #seen = new Map<string, { readonly record: DnsRecord; readonly since: number; until: number | undefined }>();

  constructor(state: CloudflareState, lagMilliseconds: number) {
    this.#state = state;
    this.#lag = lagMilliseconds;
    this.look();
    for (const [, seen] of this.#seen) Object.assign(seen, { since: -Infinity }); // they have been there for long
  }

  answer({ name: asked, type }: packet.Question): Omit<packet.Packet, "id" | "type"> {
    const name = asked.toLowerCase();
    const zone = zoneOfName(this.#state, name);
    if (zone === undefined) return { flags: REFUSED };
    const now = performance.now();
    const seen = [...this.#seen.values()].filter(({ since }) => now - since >= this.#lag);
    const records = seen.map(({ record }) => record).filter(({ proxied }) => !proxied);
    const here = records.filter((record) => record.name === name);
    const fitting = here.filter((record) => record.type === type || record.type === "CNAME");
    const answers = fitting.flatMap((record) => answerOf(asked, record) ?? []);
    const exists = name === zone.name || records.some((one) => one.name === name || one.name.endsWith(`.${name}`));
    return {
      flags: packet.AUTHORITATIVE_ANSWER | (exists ? 0 : NXDOMAIN),
      answers,
      ...(answers.length === 0 ? { authorities: [startOfAuthority(zone.name, zone.nameServers[0] ?? zone.name)] } : {}),
    };
  }

  /** Notes what changed since the last look. */
  look(): void {
    const now = performance.now();
    const present = this.#state.zones.flatMap(({ dnsRecords }) => dnsRecords);
    const ids = new Set(present.map(({ id }) => id));
    for (const record of present)
      if (!this.#seen.has(record.id)) this.#seen.set(record.id, { record, since: now, until: undefined });
    for (const [id, seen] of this.#seen) {
      if (!ids.has(id)) seen.until ??= now;
      if (seen.until !== undefined && now - seen.until >= this.#lag) this.#seen.delete(id);
    }
  }
}

const NXDOMAIN = 3;
const REFUSED = 5;

const startOfAuthority = (zone: string, mname: string): packet.Answer => ({
  type: "SOA",
  name: zone,
  ttl: NEGATIVE_TTL_SECONDS,
  data: { mname, rname: `dns.${zone}`, serial: 1, refresh: 10_000, retry: 2_400, expire: 604_800, minimum: 5 },
});

/** Undefined for types that nobody asks this server about. */
function answerOf(name: string, { type, content, data, ttl: asked }: DnsRecord): packet.Answer | undefined {
  const ttl = asked === 1 ? AUTOMATIC_TTL_SECONDS : asked;
  switch (type) {
    case "A":
    case "AAAA":
    case "CNAME":
    case "NS":
      return { type, name, ttl, data: content };
    case "TXT":
      return { type, name, ttl, data: chunks(content.replace(/^"(.*)"$/, "$1")) };
    case "CAA":
      return {
        type,
        name,
        ttl,
        data: {
          flags: Number(data?.["flags"] ?? 0),
          tag: String(data?.["tag"]) as "issue" | "issuewild" | "iodef",
          value: String(data?.["value"]),
        },
      };
    default:
      return undefined;
  }
}

/** A string of DNS has at most 255 bytes; a record may have several. */
const chunks = (text: string): string[] => text.match(/[\s\S]{1,255}/g) ?? [""];
