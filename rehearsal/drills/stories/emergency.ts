import { setTimeout as delay } from "node:timers/promises";
import { directHosts } from "../../../model/public-certificate";
import { EdgeAuthority } from "../../emulators/cloudflare/door/edge-authority";
import type { FrontDoor } from "../../emulators/cloudflare/door";
import type { WhoamiAnswer } from "../../pods";
import { Resolver } from "../../rehearse/resolver";
import { type Visit, visit, type VisitOptions } from "../../rehearse/visit";
import { describeLeft, describeVisitors, Visitors } from "../../rehearse/visitors";
import { CLOUDFLARE_ADDRESSES, STRANGER_ADDRESS } from "../../wire/addresses";
import type { CommandRun } from "../commands";
import { knock } from "../knock";
import type { Scene } from "../scene";
import type { Story } from "../story";

/** What a visitor made up about himself. */
const FORGED = "6.6.6.6";

/** Of the remembering visitors: each asked at another time. */
const RESOLVERS = 10;
const PROXIED_TTL_SECONDS = 300;

const LOOK_MILLISECONDS = 100;
/** Between two looks that take connections of the visitors' kind. */
const SELDOM_MILLISECONDS = 1_000;

/** The API of Cloudflare is away, and the provider need not wait between its retries as long as it does otherwise. */
const AWAY = { TRIVET_RETRY_DELAY_MILLISECONDS: "2" };

/** An emergency as visitors see it. */
class Emergency {
  readonly #scene: Scene;
  readonly #door: FrontDoor;
  /** Who signed the certificate that browsers trust; in the drill an authority of its own. */
  readonly #authority: EdgeAuthority;

  private constructor(scene: Scene, door: FrontDoor, authority: EdgeAuthority) {
    this.#scene = scene;
    this.#door = door;
    this.#authority = authority;
  }

  static async prepare(scene: Scene): Promise<Emergency> {
    const { door } = scene.rehearsal;
    if (door === undefined) throw new Error("an emergency without visitors shows nothing");
    const authority = await EdgeAuthority.make("an authority that browsers trust");
    door.trust(authority.certificatePem);
    return new Emergency(scene, door, authority);
  }

  /** What visitors reach directly. */
  get hosts(): readonly string[] {
    return directHosts(this.#scene.rehearsal.platform.edge);
  }

  get authorityPem(): string {
    return this.#authority.certificatePem;
  }

  /** Of the visitors that the drill counts. */
  get url(): string {
    return `https://api.${this.#scene.rehearsal.platform.domain}/`;
  }

  /** As `trivet certificate` does it, but for the ACME: that is a drill of its own. */
  async certify(): Promise<void> {
    const { domain } = this.#scene.rehearsal.platform;
    const { certificate, key } = await this.#authority.issue(domain, [domain, `*.${domain}`]);
    await this.#scene.setSecret("publicCertificate", certificate);
    await this.#scene.setSecret("publicCertificateKey", key);
  }

  /** Visitors who remember, each with a resolver that asked at another time; they go on until they are told to end. */
  rememberingVisitors(): Visitors {
    const resolvers = Array.from({ length: RESOLVERS }, (_, index) => {
      const resolver = new Resolver((name) => this.#door.lookup(name));
      for (const host of this.hosts) resolver.remember(host, (index + 0.5) / RESOLVERS);
      return resolver;
    });
    let turn = 0;
    return this.#visitors((name) => resolvers[turn++ % RESOLVERS]!.lookup(name));
  }

  /** Visitors whose resolvers have no memory. */
  visitors(): Visitors {
    return this.#visitors((name) => this.#door.lookup(name));
  }

  #visitors(lookup: FrontDoor["lookup"]): Visitors {
    const asking = (url: string, options: VisitOptions): Promise<Visit> =>
      visit({ ...this.#door, lookup }, url, { from: STRANGER_ADDRESS, ...options });
    return new Visitors(asking, this.url, { perSecond: 20, ca: this.authorityPem });
  }

  /** No request of these visitors was lost. Where one was, the edge says what it had done for it. */
  async thenNobodyIsLost(what: string, visitors: Visitors): Promise<void> {
    const report = await visitors.end();
    this.#scene.then(`${what}: ${describeVisitors(report)}`, report.requests > 0 && report.lost === 0);
    for (const line of describeLeft(this.#door.left, visitors)) this.#scene.note(line);
  }

  /** Straight to one server, whatever the name says. */
  straight(address: string, url: string, options: VisitOptions = {}): Promise<Visit> {
    const lookup = () => ({ via: "address", addresses: [address], ttlSeconds: 60 }) as const;
    return visit({ ...this.#door, lookup }, url, { ca: this.authorityPem, from: STRANGER_ADDRESS, ...options });
  }

  /** Whoever asks for what is so already is told so, and nothing is begun. */
  async thenIsRefused(direction: "on" | "off", why: string): Promise<void> {
    const { exitCode, stderr } = await this.#scene.trivet(["emergency", direction, "--yes"]);
    this.#scene.then(`once more, it is refused: ${why}`, exitCode === 2 && stderr.includes(why), stderr);
  }

  /** Runs a command, and says when what was to come of it was there, in seconds from its beginning. */
  async timed(run: () => Promise<CommandRun>, moments: Readonly<Record<string, () => Promise<boolean>>>) {
    const began = performance.now();
    const seconds = (): number => (performance.now() - began) / 1000;
    const ended = new AbortController();
    const looking = Object.entries(moments).map(async ([what, isSo]) => {
      while (!ended.signal.aborted) {
        if (await isSo().catch(() => false)) return [what, seconds()] as const;
        await delay(LOOK_MILLISECONDS, undefined, { signal: ended.signal }).catch(() => undefined);
      }
      return [what, undefined] as const;
    });
    const command = await run();
    const whole = seconds();
    ended.abort();
    const seen = Object.fromEntries(await Promise.all(looking));
    const told = [...Object.entries(seen), ["the command ended", whole] as const].sort(
      ([, one = Infinity], [, other = Infinity]) => one - other,
    );
    this.#scene.note("seconds from the beginning of the command:");
    for (const [what, at] of told)
      this.#scene.note(`  ${at === undefined ? "never" : at.toFixed(1).padStart(5)}  ${what}`);
    return { command, seen };
  }

  /** Cloudflare is asked for the client certificate that only it has; before, everybody is let in. */
  areCloudflares = (servers: number) => async (): Promise<boolean> => {
    await delay(SELDOM_MILLISECONDS);
    const answers = await this.#knocks(CLOUDFLARE_ADDRESSES[0]);
    return answers.filter((answer) => answer !== "HTTP 200").length >= servers;
  };

  /** Moments as `timed` saw them. */
  thenInOrder(seen: Readonly<Record<string, number | undefined>>, ...moments: readonly string[]): void {
    const at = moments.map((moment) => seen[moment] ?? Infinity);
    this.#scene.then(
      `in this order: ${moments.join(", ")}`,
      at.every((one, index) => one < Infinity && one >= (at[index - 1] ?? 0)),
    );
  }

  isServed = async (): Promise<boolean> => (await this.#knocks()).every((answer) => answer === "HTTP 200");

  isFirstServed = async (): Promise<boolean> => (await this.#knocks()).includes("HTTP 200");

  #knocks(from: string = STRANGER_ADDRESS): Promise<string[]> {
    const { hostname: host } = new URL(this.url);
    const { nodeAddresses } = this.#scene.rehearsal;
    return Promise.all(nodeAddresses.map((address) => knock(address, 443, { from, host, ca: this.authorityPem })));
  }

  namesLead = (via: "address" | "edge") => async (): Promise<boolean> =>
    this.hosts.every((host) => this.#door.lookup(host)?.via === via);

  isShut = async (): Promise<boolean> => {
    const [address = ""] = this.#scene.rehearsal.nodeAddresses;
    return (await this.#plainly(address)) === "no answer";
  };

  #plainly(address: string, path = "/"): Promise<string> {
    return knock(address, 80, { from: STRANGER_ADDRESS, host: new URL(this.url).hostname, path, scheme: "http" });
  }

  /** What visitors without any memory meet on each server. */
  async thenVisitorsAreServed(): Promise<void> {
    const scene = this.#scene;
    const { nodeAddresses, platform } = scene.rehearsal;
    const answers = await Promise.all(
      nodeAddresses.flatMap((address) =>
        this.hosts.map(async (host) => {
          const { status } = await this.straight(address, `https://${host}/`).catch((error: Error) => ({
            status: error.message,
          }));
          return { address, host, status };
        }),
      ),
    );
    const redirected = new Set(platform.edge.zone.redirects.map(({ fromFqdn }) => fromFqdn));
    scene.then(
      `every host answers on every server, with the certificate that browsers trust, and asks for none (${this.hosts.join(", ")})`,
      answers.length > 0 && answers.every(({ host, status }) => status === (redirected.has(host) ? 301 : 200)),
      answers.map(({ address, host, status }) => `${host} at ${address}: ${status}`).join("; "),
    );
    const forged = await scene.rehearsal.visit(`${this.url}v1/things`, {
      from: STRANGER_ADDRESS,
      ca: this.authorityPem,
      headers: {
        "x-forwarded-for": FORGED,
        "x-real-ip": FORGED,
        "cf-connecting-ip": FORGED,
        "cf-access-authenticated-user-email": "boss@honeydue.example",
        "x-forwarded-host": "evil.example",
      },
    });
    const { headers } = JSON.parse(forged.body) as WhoamiAnswer;
    scene.then(
      `a visitor's forged headers do not reach the service: it sees the visitor's address, ${STRANGER_ADDRESS}`,
      headers["x-forwarded-for"] === STRANGER_ADDRESS &&
        headers["cf-connecting-ip"] === undefined &&
        headers["cf-access-authenticated-user-email"] === undefined &&
        !JSON.stringify(headers).includes(FORGED) &&
        !JSON.stringify(headers).includes("evil.example"),
      JSON.stringify(headers),
    );
    const hsts = platform.edge.zone.hsts?.days;
    scene.then(
      `it says HSTS as Cloudflare did: ${hsts} days`,
      forged.headers["strict-transport-security"] === `max-age=${(hsts ?? 0) * 86_400}`,
      String(forged.headers["strict-transport-security"]),
    );
    const plain = await Promise.all(nodeAddresses.map((address) => this.#plainly(address, "/v1?a=b")));
    scene.then(
      "who comes by http is led to https",
      plain.every((answer) => answer === `HTTP 301 ${this.url}v1?a=b`),
      plain.join(", "),
    );
    await this.#thenTheRestStays();
  }

  /** What does not come along. */
  async #thenTheRestStays(): Promise<void> {
    const { rehearsal } = this.#scene;
    const { platform } = rehearsal;
    const [address = ""] = rehearsal.nodeAddresses;
    const guarded = [...new Set(platform.edge.routes.filter(({ via }) => via === "operators").map(({ fqdn }) => fqdn))];
    for (const host of guarded) {
      const url = `https://${host}/`;
      const [around, stranger] = await Promise.all([
        this.straight(address, url).then(
          ({ status }) => String(status),
          () => "nothing",
        ),
        rehearsal.visit(url, { from: STRANGER_ADDRESS }),
      ]);
      this.#scene.then(
        `${host} stays behind Access: ${stranger.status} at the edge, ${around} on a server`,
        this.#door.lookup(host)?.via === "edge" &&
          [302, 403].includes(stranger.status) &&
          ["404", "nothing"].includes(around),
      );
    }
  }

  /** Nobody but Cloudflare gets to a server. */
  async thenServersAreShut(): Promise<void> {
    const found = [
      ...(await this.#knocks()),
      ...(await Promise.all(this.#scene.rehearsal.nodeAddresses.map((address) => this.#plainly(address)))),
    ];
    this.#scene.then(
      "no server answers a stranger, neither on 443 nor on 80",
      found.length > 0 && found.every((answer) => answer === "no answer"),
      found.join(", "),
    );
  }

  /** Cloudflare's API answers nothing about records but that it cannot. Returns how it comes back. */
  breakApi(): () => void {
    const { faults } = this.#scene.rehearsal.cloudflare;
    this.#scene.when("Cloudflare's API answers every change of a record with 503");
    const placed = ["PUT", "PATCH", "POST", "DELETE"].map((method) =>
      faults.add({
        effect: "fail",
        status: 503,
        nth: "every",
        route: { method, pathPattern: "/client/v4/zones/*/dns_records**" },
      }),
    );
    return () => {
      this.#scene.when("Cloudflare's API is back");
      for (const { id } of placed) faults.remove(id);
    };
  }
}

async function broughtUp(scene: Scene): Promise<void> {
  const up = await scene.up({ args: ["--skip-preview"] });
  scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
}

async function thenBack(scene: Scene, emergency: Emergency): Promise<void> {
  await emergency.thenIsRefused("off", "There is no emergency");
  await emergency.thenServersAreShut();
  await scene.thenWell();
  await scene.thenIdle();
}

export const emergency: Story = {
  name: "emergency",
  title:
    "visitors past Cloudflare to the servers and back, each by one setting and one pulumi up, and the seconds that take",
  stage: { config: {}, edge: true },
  async play(scene) {
    const way = await Emergency.prepare(scene);
    await way.certify();
    await broughtUp(scene);
    scene.given("a platform behind proxied records, with a certificate that browsers trust in its settings");
    await way.thenServersAreShut();

    scene.when("Cloudflare has to be bypassed");
    const coming = way.rememberingVisitors();
    const on = await way.timed(() => scene.trivet(["emergency", "on", "--yes"]), {
      "a server answers visitors": way.isFirstServed,
      "every server does": way.isServed,
      "every name leads to the servers": way.namesLead("address"),
    });
    scene.must("trivet emergency on ended well", on.command.exitCode === 0, on.command.stderr);
    const orderly =
      (on.seen["a server answers visitors"] ?? Infinity) <= (on.seen["every name leads to the servers"] ?? 0);
    scene.then("no name led to the servers before a server answered", orderly);
    scene.note(`visitors whose resolvers remember: ${describeVisitors(await coming.end())}`);
    scene.note(
      `the last of them comes directly after ${PROXIED_TTL_SECONDS} s: Cloudflare's TTL, which nobody can shorten`,
    );
    await way.thenVisitorsAreServed();
    await way.thenIsRefused("on", "bypassed already");

    const mend = way.breakApi();
    const staying = way.visitors();
    const failed = await scene.trivet(["emergency", "off", "--yes"], AWAY);
    scene.then(
      "trivet emergency off fails, and says that the servers stay open",
      failed.exitCode === 1 && failed.stderr.includes("the servers stay open"),
      failed.stderr,
    );
    await way.thenNobodyIsLost("no visitor noticed", staying);
    mend();

    const leaving = way.rememberingVisitors();
    const off = await way.timed(() => scene.trivet(["emergency", "off", "--yes"]), {
      "every name leads to Cloudflare": way.namesLead("edge"),
      "the servers are shut": way.isShut,
      "a server's Traefik takes Cloudflare alone": way.areCloudflares(1),
      "a second one's": way.areCloudflares(2),
      "every one's": way.areCloudflares(3),
    });
    scene.must("trivet emergency off carried on, and ended well", off.command.exitCode === 0, off.command.stderr);
    way.thenInOrder(
      off.seen,
      "every name leads to Cloudflare",
      "the servers are shut",
      "a server's Traefik takes Cloudflare alone",
    );
    await way.thenNobodyIsLost("no request was lost on the way back", leaving);
    await thenBack(scene, way);
  },
};

export const emergencyTunnel: Story = {
  name: "emergency-tunnel",
  title:
    "the same for a platform behind a tunnel, prepared beforehand, while Cloudflare's API fails and without a certificate",
  stage: { stack: "hangangjari", config: { "trivet:operators": ["198.51.100.0/28"] }, edge: true },
  async play(scene) {
    const way = await Emergency.prepare(scene);
    await broughtUp(scene);
    scene.given(
      "a platform behind a tunnel, whose servers have a Traefik in waiting and no open port but the operators'",
    );
    await way.thenServersAreShut();

    const mend = way.breakApi();
    const failed = await scene.trivet(["emergency", "on", "--yes"], AWAY);
    const { nodeAddresses } = scene.rehearsal;
    const [address = ""] = nodeAddresses;
    const told = (host: string): string => new RegExp(`${host} +A +(.*)`).exec(failed.stderr)?.[1] ?? "";
    scene.then(
      "trivet emergency on fails, and says which names have to lead where, by whatever name servers",
      failed.exitCode === 1 &&
        way.hosts.every((host) => told(host).split(", ").sort().join() === [...nodeAddresses].sort().join()),
      failed.stderr,
    );
    const unsigned = await way.straight(address, way.url).catch((error: NodeJS.ErrnoException) => error.code);
    scene.then(
      `the servers are open already; without a public certificate a browser warns (${String(unsigned)})`,
      typeof unsigned === "string" && /SELF_SIGNED|VERIFY|ISSUER|CERT/.test(unsigned),
      String(unsigned),
    );
    mend();
    const carriedOn = await scene.trivet(["emergency", "on", "--yes"]);
    scene.must("trivet emergency on carries on, and ends well", carriedOn.exitCode === 0, carriedOn.stderr);
    scene.then("every name leads to the servers", await way.namesLead("address")());

    scene.when("a certificate is there at last");
    await way.certify();
    const certified = await way.timed(
      async () => {
        const { ok, errors, seconds } = await scene.up({ args: ["--skip-preview"] });
        return { exitCode: ok ? 0 : 1, stdout: "", stderr: errors.join("\n"), seconds };
      },
      { "every server shows it": way.isServed },
    );
    scene.must("pulumi up ended well", certified.command.exitCode === 0, certified.command.stderr);
    await way.thenVisitorsAreServed();

    const leaving = way.rememberingVisitors();
    const off = await way.timed(() => scene.trivet(["emergency", "off", "--yes"]), {
      "every name leads to Cloudflare": way.namesLead("edge"),
      "the servers are shut": way.isShut,
    });
    scene.must("trivet emergency off ended well", off.command.exitCode === 0, off.command.stderr);
    way.thenInOrder(off.seen, "every name leads to Cloudflare", "the servers are shut");
    await way.thenNobodyIsLost("no request was lost on the way back", leaving);
    await thenBack(scene, way);

    scene.when("it comes again, now with the certificate there beforehand");
    const again = await way.timed(() => scene.trivet(["emergency", "on", "--yes"]), {
      "every server answers visitors": way.isServed,
      "every name leads to the servers": way.namesLead("address"),
    });
    scene.must("trivet emergency on ended well", again.command.exitCode === 0, again.command.stderr);
    scene.then("every server answered", again.seen["every server answers visitors"] !== undefined);
  },
};
