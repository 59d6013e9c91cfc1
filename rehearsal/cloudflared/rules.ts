import { z } from "zod";

/** What the stand-in reads of a tunnel's configuration; the API has judged all of it before. */
const accessSchema = z.object({
  required: z.boolean().optional(),
  teamName: z.string().optional(),
  audTag: z.array(z.string()).optional(),
});
const originRequestSchema = z
  .object({
    access: accessSchema.nullish(),
    connectTimeout: z.number().nullish(),
    httpHostHeader: z.string().nullish(),
    noTLSVerify: z.boolean().nullish(),
    originServerName: z.string().nullish(),
  })
  .nullish();
const ruleSchema = z.object({
  hostname: z.string().nullish(),
  path: z.string().nullish(),
  service: z.string(),
  originRequest: originRequestSchema,
});
const configSchema = z
  .object({ ingress: z.array(ruleSchema).nullish(), originRequest: originRequestSchema })
  .nullable();

export interface Rule {
  readonly hostname: string;
  readonly path: RegExp | undefined;
  readonly service: string;
  readonly origin: OriginSettings;
}

export interface OriginSettings {
  readonly connectSeconds: number;
  readonly hostHeader: string | undefined;
  readonly verifiesTls: boolean;
  readonly serverName: string | undefined;
  /** A visitor's JWT is asked for. */
  readonly access: { readonly teamName: string; readonly audiences: readonly string[] } | undefined;
}

/** As cloudflared answers where no configuration has reached it. */
const noRules = (): readonly Rule[] => [rule({ service: "http_status:503" }, undefined)];

export function rulesOf(config: unknown): readonly Rule[] {
  const read = configSchema.parse(config);
  if (!read?.ingress?.length) return noRules();
  return read.ingress.map((one) => rule(one, read.originRequest));
}

function rule(
  { hostname, path, service, originRequest }: z.infer<typeof ruleSchema>,
  everywhere: z.infer<typeof originRequestSchema>,
): Rule {
  const own = { ...withoutNulls(everywhere), ...withoutNulls(originRequest) };
  return {
    hostname: hostname ?? "",
    path: path ? new RegExp(path) : undefined,
    service,
    origin: {
      connectSeconds: own.connectTimeout ?? 30,
      hostHeader: own.httpHostHeader || undefined,
      verifiesTls: !own.noTLSVerify,
      serverName: own.originServerName || undefined,
      access: own.access?.required
        ? { teamName: own.access.teamName ?? "", audiences: own.access.audTag ?? [] }
        : undefined,
    },
  };
}

const withoutNulls = (settings: z.infer<typeof originRequestSchema>) =>
  Object.fromEntries(Object.entries(settings ?? {}).filter(([, value]) => value !== null)) as NonNullable<
    z.infer<typeof originRequestSchema>
  >;

/** The first that fits; the last one fits everything. */
export const ruleFor = (rules: readonly Rule[], host: string, path: string): Rule | undefined =>
  rules.find((one) => fitsHost(one.hostname, host) && (one.path?.test(path) ?? true));

function fitsHost(pattern: string, host: string): boolean {
  if (pattern === "" || pattern === "*") return true;
  return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) : pattern.toLowerCase() === host;
}
