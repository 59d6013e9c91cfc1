import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

/** What a server's user-data says of the tailnet, as components/cluster writes it. */
export const TAILNET_SETTINGS_PATH = "/etc/trivet/tailnet.json";
export const TAILNET_KEY_PATH = "/etc/trivet/tailnet.key";

export const tailnetSettingsSchema = z.strictObject({
  version: z.string().regex(/^\d+\.\d+\.\d+$/, "a release such as 1.102.5"),
  keyFingerprint: z.string().regex(/^[0-9A-F]{40}$/, "40 hexadecimal digits, in capitals"),
  hostname: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "a host name of one label"),
  tag: z.string().regex(/^tag:[a-z][a-z0-9-]*$/, "tag: and a name"),
});

interface Login {
  readonly hostname: string;
  readonly tag: string;
  /** Where the device is reached. A rehearsal has no addresses of 100.64.0.0/10. */
  readonly address: string;
  /** As it lies on the device. Never printed. */
  readonly key: string;
}

interface Device extends Omit<Login, "key"> {
  readonly id: string;
  /** The host name, with a number behind it where an earlier device has that name. */
  readonly name: string;
  readonly created: Date;
  /** Undefined while it is online. */
  lastSeen: Date | undefined;
}

interface TailnetOptions {
  /** What names in it end with. */
  readonly name: string;
  /** Lets devices in: an OAuth client's secret, or an auth key. */
  readonly key: string;
  /** Becomes the folder to have on PATH. */
  readonly folder: string;
}

/**
 * The stand-in of a tailnet: a list. Who shows the key is in it, and whoever has its folder on PATH finds a `tailscale` that says who is
 * where, as a computer of the tailnet would. Nothing is carried: its devices are addresses of this machine.
 *
 * A device that is gone stays in the list, as it does for up to two days at Tailscale, and keeps its name: the next one of the same
 * host name gets a number.
 */
export class Tailnet {
  /** On PATH it makes this computer one of the tailnet. */
  readonly folder: string;
  readonly #options: TailnetOptions;
  readonly #devices = new Map<string, Device>();
  #ids = 0;
  #isConnected = true;

  constructor(options: TailnetOptions) {
    this.#options = options;
    this.folder = options.folder;
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    this.#write();
    writeFileSync(join(this.folder, "tailscale"), command(this.#file), { mode: 0o755 });
  }

  /** Lets a device in, and gives its id. Throws what `tailscale up` would say. */
  login({ key, ...login }: Login): string {
    const refused = this.#whyRefused(key);
    if (refused !== undefined) throw new Error(refused);
    const id = `n${++this.#ids}`;
    const names = new Set([...this.#devices.values()].map(({ name }) => name));
    let name = login.hostname;
    for (let number = 1; names.has(name); number++) name = `${login.hostname}-${number}`;
    this.#devices.set(id, { ...login, id, name, created: new Date(), lastSeen: undefined });
    this.#write();
    return id;
  }

  /** A device that was in before is there again, with the key on its own disk. False where nobody knows it. */
  arrive(id: string): boolean {
    return this.#set(id, true);
  }

  /** Its power is off. */
  leave(id: string): void {
    this.#set(id, false);
  }

  /** Somebody removes it by hand, or the tailnet forgets it. */
  forget(id: string): void {
    this.#devices.delete(id);
    this.#write();
  }

  fqdn(id: string): string | undefined {
    const device = this.#devices.get(id);
    return device && `${device.name}.${this.#options.name}`;
  }

  /** `tailscale up` and `tailscale down` on the computer that has the folder on PATH. */
  connectComputer(isConnected: boolean): void {
    this.#isConnected = isConnected;
    this.#write();
  }

  /** Names of those that are there now, sorted. */
  get online(): readonly string[] {
    return [...this.#devices.values()]
      .flatMap(({ id, lastSeen }) => (lastSeen === undefined ? [this.fqdn(id)!] : []))
      .sort();
  }

  #set(id: string, isOnline: boolean): boolean {
    const device = this.#devices.get(id);
    if (device === undefined) return false;
    if ((device.lastSeen === undefined) !== isOnline) {
      device.lastSeen = isOnline ? undefined : new Date();
      this.#write();
    }
    return true;
  }

  /** Of an OAuth client's secret `tailscale up` makes a key itself, as the text behind the question mark says. */
  #whyRefused(key: string): string | undefined {
    const [secret = "", query = ""] = key.trim().split("?", 2);
    if (secret !== this.#options.key) return "backend error: invalid key: API key does not exist";
    if (!secret.startsWith("tskey-client-")) return undefined;
    return new URLSearchParams(query).get("preauthorized") === "true"
      ? undefined
      : "this device is waiting for somebody to approve it (preauthorized=true is missing)";
  }

  get #file(): string {
    return join(this.folder, "status.json");
  }

  /** In one step: it is read at any moment. */
  #write(): void {
    const suffix = this.#options.name;
    const status = {
      Version: "a stand-in of the rehearsal",
      BackendState: this.#isConnected ? "Running" : "Stopped",
      MagicDNSSuffix: suffix,
      CurrentTailnet: { Name: suffix, MagicDNSSuffix: suffix, MagicDNSEnabled: true },
      Self: { HostName: "rehearsal", DNSName: `rehearsal.${suffix}.`, TailscaleIPs: ["127.0.0.1"], Online: true },
      Peer: Object.fromEntries(
        [...this.#devices.values()].map(({ id, hostname, name, address, tag, created, lastSeen }) => [
          `nodekey:${id}`,
          {
            ID: id,
            HostName: hostname,
            DNSName: `${name}.${suffix}.`,
            TailscaleIPs: [address],
            Tags: [tag],
            Created: created.toISOString(),
            Online: lastSeen === undefined,
            LastSeen: lastSeen?.toISOString() ?? NEVER,
          },
        ]),
      ),
    };
    writeFileSync(`${this.#file}.new`, JSON.stringify(status, undefined, 2), { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
  }
}

/** A time of Go's that was not set. */
const NEVER = "0001-01-01T00:00:00Z";

const command = (file: string): string =>
  [
    "#!/bin/sh",
    `[ "$*" = "status --json" ] && exec cat '${file}'`,
    'echo "the stand-in of tailscale answers to status --json alone, not to: $*" >&2',
    "exit 2",
    "",
  ].join("\n");
