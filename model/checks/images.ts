import { closest } from "../closest";
import { parseImage } from "../image-reference";
import type { Problem } from "../problem";
import { SERVER_TYPES } from "../server-types";
import { type Check, type Draft, storesOf, suggest, workloadsOf } from "./draft";
import { nodesOf } from "./nodes";

interface ImageUse {
  readonly name: string;
  readonly path: string;
  /** The agents it runs on, if not any node. */
  readonly pool?: string | undefined;
}

/** Where the definition names an image, and what: an entry of the stack's `images`, or a whole reference. */
const imageUses = ({ definition }: Draft): ImageUse[] => [
  ...storesOf(definition).flatMap(([store, { image }]) =>
    image === undefined ? [] : [{ name: image, path: `stores.${store}.image` }],
  ),
  ...workloadsOf(definition).map(([workload, { image, pool }]) => ({
    name: image,
    path: `services.${workload}.image`,
    pool,
  })),
  ...(definition.metrics?.image === undefined ? [] : [{ name: definition.metrics.image, path: "metrics.image" }]),
];

export const checkImages: Check = (draft) => {
  const { settings } = draft;
  const problems: Problem[] = [];
  const images = settings.images ?? {};
  const uses = imageUses(draft);
  for (const { name, path, pool } of uses) {
    const inStack = images[name];
    // A bare word is a name in the stack; whatever has a slash, a colon or an @ is meant as a reference.
    if (inStack !== undefined) problems.push(...referenceProblems(draft, inStack, `trivet:images.${name}`, pool));
    else if (/[/:@]/.test(name)) problems.push(...referenceProblems(draft, name, path, pool));
    else
      problems.push({
        code: "IM001",
        path,
        got: name,
        reason: `the stack has no image of that name`,
        ...suggest(closest(name, Object.keys(images))),
        action: `pulumi config set --path 'trivet:images.${name}' <registry>/<name>@sha256:<digest>`,
      });
  }
  for (const name of Object.keys(images))
    if (!uses.some((use) => use.name === name))
      problems.push({
        code: "IM005",
        path: `trivet:images.${name}`,
        reason: "no workload uses this image",
        ...suggest(
          closest(
            name,
            uses.map((use) => use.name),
          ),
        ),
        action: `pulumi config rm --path 'trivet:images.${name}'`,
      });
  // One image may serve several workloads; its mistake is told once.
  return problems.filter(
    (problem, index) =>
      problems.findIndex(({ code, path }) => code === problem.code && path === problem.path) === index,
  );
};

const OTHER_ARCHITECTURE = { x86: /(^|[-_.])(arm64|aarch64|armv8)$/i, arm: /(^|[-_.])(amd64|x86[-_]64)$/i } as const;

const referenceProblems = (draft: Draft, reference: string, path: string, pool: string | undefined): Problem[] => {
  const parsed = parseImage(reference);
  if (parsed === undefined)
    return [
      {
        code: "IM004",
        path,
        got: reference,
        allowed: "<registry>/<name>[:<tag>]@sha256:<64 hexadecimal digits>",
        ...suggest(parseImage(reference.toLowerCase()) === undefined ? undefined : reference.toLowerCase()),
      },
    ];
  const problems: Problem[] = [];
  const bare = `${parsed.repository}${parsed.tag === undefined ? "" : `:${parsed.tag}`}`;
  if (parsed.tag === "latest")
    problems.push({
      code: "IM003",
      path,
      got: reference,
      reason: "latest says nothing about what runs",
      action: "name a version, or the digest alone",
    });
  if (parsed.digest === undefined)
    problems.push({
      code: "IM002",
      path,
      got: reference,
      reason: "a tag can move, and then two pods of one workload run different programs",
      action: `docker buildx imagetools inspect ${bare} prints the digest; append it as @sha256:…`,
    });
  // Whether an index holds both architectures cannot be seen from here; a tag that names one can.
  const { tag } = parsed;
  const other = nodesOf(draft).find(({ pool: home, serverType }) => {
    const architecture = SERVER_TYPES[serverType.value]?.architecture;
    const isHome = pool === undefined ? (home?.taints ?? []).length === 0 : home?.name === pool;
    return isHome && architecture !== undefined && tag !== undefined && OTHER_ARCHITECTURE[architecture].test(tag);
  });
  if (other !== undefined)
    problems.push({
      code: "HZ007",
      path,
      got: reference,
      reason: `${other.serverType.value} servers have ${SERVER_TYPES[other.serverType.value]!.architecture} processors`,
      action: "take the image's multi-architecture index, or another server type",
    });
  return problems;
};
