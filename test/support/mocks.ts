import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb";
import type { MockMonitor } from "@pulumi/pulumi/runtime/mocks";

/** One resource as the program registered it. */
export interface Registered {
  readonly type: string;
  readonly name: string;
  /** As the engine would get them: secrets and unknowns in the wire's own wrapping (see `secretValue` and `isUnknown`). */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Type of the parent. */
  readonly parent: string | undefined;
  readonly options: RegisteredOptionsOf;
}

/** Options as the engine gets them; hooks by their kind, each with the names that are bound. */
export interface RegisteredOptionsOf {
  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  readonly deleteBeforeReplace: boolean;
  readonly ignoreChanges: readonly string[];
  /** URNs of what it waits for, beside what its inputs come from. */
  readonly dependsOn: readonly string[];
  /** Empty: not imported. */
  readonly importId: string;
  /** Undefined: none. */
  readonly replacementTrigger: unknown;
  readonly hooks: Readonly<
    Record<"beforeUpdate" | "afterCreate" | "beforeDelete" | "afterDelete" | "onError", readonly string[]>
  >;
}

export interface RegisteredOptions {
  /** As in `pulumi preview`: what a provider computes is unknown. */
  readonly unknown?: boolean;
  readonly stack?: string;
  readonly config?: Readonly<Record<string, string>>;
  readonly secretKeys?: readonly string[];
  /** To invokes, by token. @default every invoke throws: a preview must not need an answer */
  readonly answers?: Readonly<Record<string, Record<string, unknown>>>;
}

/** First three parts of the loopback addresses that mocked Primary IPs get; nothing listens there. */
export const MOCK_ADDRESSES = "127.44.9";

/** When mocked certificates begin. */
export const MOCK_START_TIME = "2026-11-21T12:00:00.000Z";

const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";

/** The value inside a secret; throws when it is none. */
export function secretValue(value: unknown): unknown {
  const wrapped = value as Record<string, unknown> | null;
  if (typeof wrapped !== "object" || wrapped?.[SIGNATURE] !== SECRET) throw new Error("the value is not secret");
  return wrapped["value"];
}

export const isSecret = (value: unknown): boolean =>
  typeof value === "object" && value !== null && (value as Record<string, unknown>)[SIGNATURE] === SECRET;

/**
 * Runs a program under mocks and returns everything it registered, in order. Resources must be made synchronously (never in
 * an `apply`). The whole run is a dry one, so that nothing waits for servers that nobody makes.
 */
export async function registered(
  build: () => pulumi.Resource | readonly pulumi.Resource[],
  { unknown = false, stack = "honeydue", config = {}, secretKeys = [], answers = {} }: RegisteredOptions = {},
): Promise<Registered[]> {
  const seen: Omit<Registered, "parent" | "options">[] = [];
  const counts = new Map<string, number>();
  await pulumi.runtime.setMocks(
    {
      call: ({ token }) => {
        if (answers[token] !== undefined) return answers[token];
        throw new Error(`the program called ${token}; a preview must not need an answer`);
      },
      newResource: ({ type, name, inputs }) => {
        seen.push({ type, name, inputs: inputs as Record<string, unknown> });
        const count = (counts.get(type) ?? 0) + 1;
        counts.set(type, count);
        const given = plain(inputs) as Record<string, unknown>;
        if (unknown) return { id: undefined, state: given };
        return { id: String(1000 + seen.length), state: { ...given, ...computed(type, name, count, given) } };
      },
    },
    "trivet",
    stack,
    true,
  );
  const options = watchRequests();
  pulumi.runtime.setAllConfig({ ...config }, [...secretKeys]);
  const built = build();
  await settle(Array.isArray(built) ? (built as readonly pulumi.Resource[]) : [built as pulumi.Resource]);
  const urns = [...(pulumi.runtime.getMonitor() as unknown as MockMonitor).getRegisteredResources().keys()];
  return seen.map((one) => {
    const urn = urns.find((candidate) => candidate.endsWith(`${one.type}::${one.name}`)) ?? "";
    const parent = (urn.split("::")[2] ?? "").split("$").at(-2);
    return { ...one, parent, options: options.get(`${one.type}::${one.name}`)! };
  });
}

/** The one resource of this type and name. */
export function only(all: readonly Registered[], type: string, name: string): Registered {
  const found = all.filter((one) => one.type === type && one.name === name);
  if (found.length !== 1) {
    const names = all.filter((one) => one.type === type).map((one) => one.name);
    throw new Error(`${found.length} resources ${type} ${name}; of this type there are: ${names.join(", ")}`);
  }
  return found[0]!;
}

export const ofType = (all: readonly Registered[], type: string): Registered[] =>
  all.filter((one) => one.type === type);

/** The value of an output, as a program would see it. */
export const valueOf = <T>(output: pulumi.Output<T>): Promise<T> =>
  new Promise((resolve) => {
    output.apply((value) => resolve(value));
  });

/**
 * Keeps the options of each request, which mocks are not told. And takes registrations of hooks: the mocked engine says that it
 * knows hooks, but has no method for them. None is ever called here.
 */
export function watchRequests(): ReadonlyMap<string, RegisteredOptionsOf> {
  const options = new Map<string, RegisteredOptionsOf>();
  const monitor = pulumi.runtime.getMonitor() as unknown as MockMonitor;
  const register = monitor.registerResource.bind(monitor);
  const accept = (_request: unknown, done: (error: Error | null, answer: object) => void): void => done(null, {});
  Object.assign(monitor, {
    registerResourceHook: accept,
    registerErrorHook: accept,
    registerResource: (request: RegisterResourceRequest, done: Parameters<typeof register>[1]) => {
      const hooks = request.getHooks();
      options.set(`${request.getType()}::${request.getName()}`, {
        protect: request.getProtect() ?? false,
        retainOnDelete: request.getRetainondelete() ?? false,
        deleteBeforeReplace: request.getDeletebeforereplace(),
        ignoreChanges: request.getIgnorechangesList(),
        dependsOn: request.getDependenciesList(),
        importId: request.getImportid(),
        replacementTrigger: request.getReplacementTrigger()?.toJavaScript(),
        hooks: {
          beforeUpdate: hooks?.getBeforeUpdateList() ?? [],
          afterCreate: hooks?.getAfterCreateList() ?? [],
          beforeDelete: hooks?.getBeforeDeleteList() ?? [],
          afterDelete: hooks?.getAfterDeleteList() ?? [],
          onError: hooks?.getOnErrorList() ?? [],
        },
      });
      return register(request, done);
    },
  });
  return options;
}

async function settle(resources: readonly pulumi.Resource[]): Promise<void> {
  for (const resource of resources) {
    await (resource.urn as unknown as { promise(): Promise<string> }).promise();
    await settle([...((resource as unknown as { __childResources?: Set<pulumi.Resource> }).__childResources ?? [])]);
  }
}

/** Without the wrapping of secrets. */
function plain(value: unknown): unknown {
  if (isSecret(value)) return plain((value as { value: unknown }).value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

/** What the providers would have computed. PEM texts have the length of real ones, so that sizes mean something. */
function computed(type: string, name: string, count: number, given: Record<string, unknown>): Record<string, unknown> {
  switch (type) {
    case "tls:index/privateKey:PrivateKey":
      return { privateKeyPem: pem("PRIVATE KEY", name, 227), publicKeyPem: pem("PUBLIC KEY", name, 178) };
    case "tls:index/selfSignedCert:SelfSignedCert":
    case "tls:index/locallySignedCert:LocallySignedCert":
      return { certPem: pem("CERTIFICATE", name, 620), validityStartTime: MOCK_START_TIME };
    case "tls:index/certRequest:CertRequest":
      return { certRequestPem: pem("CERTIFICATE REQUEST", name, 440) };
    case "random:index/randomPassword:RandomPassword":
      return { result: `password-of-${name}` };
    case "random:index/randomId:RandomId":
      return { hex: "00112233445566ff", b64Std: "ABEiM0RVZv8=", b64Url: "ABEiM0RVZv8" };
    case "hcloud:index/primaryIp:PrimaryIp":
      return given["type"] === "ipv6"
        ? { ipAddress: `2001:db8:0:${count}::`, ipNetwork: `2001:db8:0:${count}::/64` }
        : { ipAddress: `${MOCK_ADDRESSES}.${10 + count}`, ipNetwork: "" };
    case "cloudflare:index/originCaCertificate:OriginCaCertificate":
      return { certificate: pem("CERTIFICATE", name, 900) };
    case "cloudflare:index/pagesProject:PagesProject":
      return { subdomain: `${String(given["name"])}.pages.dev` };
    case "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication":
      return { aud: `aud-of-${name}` };
    case "cloudflare:index/zeroTrustAccessServiceToken:ZeroTrustAccessServiceToken":
      return { clientId: `id-of-${name}`, clientSecret: `secret-of-${name}` };
    case "cloudflare:index/zoneDnssec:ZoneDnssec":
      return { ds: "honeydue.example. 3600 IN DS 2371 13 2 ABCDEF" };
    default:
      return {};
  }
}

function pem(label: string, seed: string, length: number): string {
  const body = Buffer.from(seed.repeat(Math.ceil(length / seed.length)))
    .toString("base64")
    .slice(0, length)
    .replace(/(.{64})/g, "$1\n");
  return `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
}
