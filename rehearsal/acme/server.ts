import { writeFileSync } from "node:fs";
import { request } from "node:https";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { EdgeAuthority } from "../emulators/cloudflare/door/edge-authority";
import type { CloudflareState } from "../emulators/cloudflare/state";
import { ProcessRegister } from "../k3s/processes";
import { type NameServer, startNameServer } from "./name-server";

export interface AcmeOptions {
  /** The executable (toolchain: `pebble`). */
  readonly pebble: string;
  /** Folder for its configuration, its own certificate and its log; made where it is missing. */
  readonly directory: string;
  /** The emulated zones, whose records decide what is issued: `emulator.state`. */
  readonly zones: CloudflareState;
  /** Of a certificate. Default 90, as Let's Encrypt's. */
  readonly validityDays?: number;
  /** Names that it refuses to issue for. Default: none. */
  readonly blocked?: readonly string[];
  /** Part of the requests whose nonce it refuses though it is right, as RFC 8555 lets it. Default 5, pebble's own. */
  readonly refusedNoncesPercent?: number;
  /** Of the name server. Default 300. */
  readonly lagMilliseconds?: number;
}

export interface AcmeServer {
  readonly directoryUrl: string;
  /** PEM of who signed the ACME server's own certificate: `NODE_EXTRA_CA_CERTS` of whoever asks it. */
  readonly authorityFile: string;
  readonly authorityPem: string;
  /** Where the zones' records are seen: `host:port`. */
  readonly nameServer: NameServer;
  /** PEM of the root that its certificates end at: what a visitor trusts. Made anew at each start. */
  rootPem(): Promise<string>;
  /** From now on it suggests to renew this certificate within this window (ARI, RFC 9773). */
  suggestRenewal(certificatePem: string, window: { start: Date; end: Date }): Promise<void>;
  close(): Promise<void>;
}

/** Who an ACME server of Let's Encrypt says it is in CAA records. */
const CAA_IDENTITY = "letsencrypt.org";
const START_DEADLINE_MILLISECONDS = 10_000;
const HOST = "127.0.0.1";
/** Its certificate names this; the address behind it is always loopback. */
const NAME = "localhost";

/**
 * pebble, the ACME server that Let's Encrypt tests clients with: a real one in every check but that its root is its own, and that it looks at no
 * CAA records. It validates by asking a DNS server that answers from the emulated zones.
 */
export async function startAcmeServer(options: AcmeOptions): Promise<AcmeServer> {
  const { pebble, directory, zones, validityDays = 90, blocked = [], refusedNoncesPercent = 5 } = options;
  const register = new ProcessRegister(directory);
  const authority = await EdgeAuthority.make("emulated ACME server");
  const own = await authority.issue(NAME, [NAME]);
  const file = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const authorityFile = file("authority.pem", authority.certificatePem);
  const nameServer = await startNameServer(zones, {
    host: HOST,
    ...(options.lagMilliseconds === undefined ? {} : { lagMilliseconds: options.lagMilliseconds }),
  });
  const [port, managementPort] = [await freePort(), await freePort()];
  const config = file(
    "pebble.json",
    JSON.stringify({
      pebble: {
        listenAddress: `${HOST}:${port}`,
        managementListenAddress: `${HOST}:${managementPort}`,
        certificate: file("certificate.pem", own.certificate),
        privateKey: file("key.pem", own.key),
        caaIdentities: [CAA_IDENTITY],
        domainBlocklist: blocked,
        keyAlgorithm: "ecdsa",
        retryAfter: { authz: 1, order: 1 },
        profiles: { default: { description: "as Let's Encrypt's", validityPeriod: validityDays * 86_400 } },
      },
    }),
  );
  const logFile = join(directory, "pebble.log");
  const running = register.start({
    name: "pebble",
    path: pebble,
    args: ["-config", config, "-strict", "-dnsserver", nameServer.address],
    cwd: directory,
    logFile,
    environment: {
      PEBBLE_VA_NOSLEEP: "1",
      PEBBLE_WFE_NONCEREJECT: String(refusedNoncesPercent),
      PEBBLE_AUTHZREUSE: "0",
    },
  });
  const close = async (): Promise<void> => {
    await running.stop();
    register.close();
    await nameServer.close();
  };
  const ask = (path: string, to: number, body?: string): Promise<string> =>
    asked({ port: to, path, ca: authority.certificatePem, ...(body === undefined ? {} : { body }) });

  const deadline = performance.now() + START_DEADLINE_MILLISECONDS;
  for (;;) {
    try {
      await ask("/dir", port);
      await ask("/roots/0", managementPort);
      break;
    } catch (error) {
      if (running.hasExited || performance.now() > deadline) {
        await close();
        throw new Error(`pebble does not answer: ${(error as Error).message}\n${running.logTail().join("\n")}`, {
          cause: error,
        });
      }
      await delay(50);
    }
  }
  return {
    directoryUrl: `https://${NAME}:${port}/dir`,
    authorityFile,
    authorityPem: authority.certificatePem,
    nameServer,
    rootPem: () => ask("/roots/0", managementPort),
    suggestRenewal: async (certificatePem, { start, end }) => {
      const suggestedWindow = { start: start.toISOString(), end: end.toISOString() };
      const ariResponse = JSON.stringify({ suggestedWindow });
      await ask("/set-renewal-info/", managementPort, JSON.stringify({ certificate: certificatePem, ariResponse }));
    },
    close,
  };
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => probe.once("error", reject).listen(0, HOST, resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise<void>((done) => probe.close(() => done()));
  return port;
}

const asked = ({ port, path, ca, body }: { port: number; path: string; ca: string; body?: string }): Promise<string> =>
  new Promise((resolve, reject) => {
    const sent = request(
      {
        ...{ host: HOST, port, path, ca, servername: NAME, agent: false },
        method: body === undefined ? "GET" : "POST",
        headers: { "user-agent": "trivet-rehearsal" },
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () =>
          response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode} ${text}`)),
        );
      },
    );
    sent.once("error", reject);
    sent.end(body);
  });
