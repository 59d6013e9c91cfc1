import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cisDocument } from "../components/cluster/cis";
import { MANIFEST_PROBLEMS } from "../components/manifests";
import { clusterPicture } from "../model/cluster-picture";
import { edgePicture } from "../model/edge-picture";
import { NOTICES } from "../model/notice";
import { PLAN_LIMITS, type PlanLimits, PLANS } from "../model/plans";
import { picture } from "../model/picture";
import { CERTIFICATE_PROBLEMS, PROBLEMS } from "../model/problem";
import { type Scope, scopes } from "../model/scopes";
import { platformOfStackFile } from "./stack-file";

/**
 * `npm run docs`: writes what the documents take from the model, so that they cannot tell another story. With `--check` it writes
 * nothing and fails when something is stale; `npm run check` runs that.
 */
const ROOT = join(__dirname, "..");

const generated: readonly { file: string; text: (old: string) => string }[] = [
  {
    file: "README.md",
    text: (old) => withScopes(withPicture(old, picture(platformOfStackFile("honeydue"))), inOneLine),
  },
  { file: "docs/cluster.md", text: (old) => withPicture(old, clusterPicture(platformOfStackFile("honeydue"))) },
  {
    file: "docs/edge.md",
    text: (old) =>
      withScopes(
        withPlans(
          withPicture(
            withPicture(old, edgePicture(platformOfStackFile("honeydue")), "proxied"),
            edgePicture(platformOfStackFile("hangangjari")),
            "tunnel",
          ),
        ),
        asTable,
      ),
  },
  { file: "docs/errors.md", text: errors },
  { file: "docs/cis.md", text: () => cisDocument(platformOfStackFile("honeydue")) },
];

/** The picture stands between two comments, the first of which begins with its name where a page has several. */
function withPicture(old: string, mermaid: string, name = ""): string {
  return old.replace(
    new RegExp(`(<!-- picture:${name}.*?-->\\n)[\\s\\S]*?(<!-- /picture -->)`),
    (_, begin: string, end: string) => `${begin}\n\`\`\`mermaid\n${mermaid}\`\`\`\n\n${end}`,
  );
}

/** What the API token of a stack must be allowed stands between `<!-- scopes:honeydue -->` and `<!-- /scopes -->`. */
const withScopes = (old: string, written: (all: readonly Scope[]) => string): string =>
  old.replace(
    /(<!-- scopes:(\w+) -->)[\s\S]*?(<!-- \/scopes -->)/g,
    (_, begin: string, stack: string, end: string) => `${begin}${written(scopes(platformOfStackFile(stack)))}${end}`,
  );

const inOneLine = (all: readonly Scope[]): string => all.map(({ dashboard }) => dashboard).join("; ");

const asTable = (all: readonly Scope[]): string =>
  [
    "\n\n| permission | in the API | needed for |",
    "|---|---|---|",
    ...all.map(({ dashboard, api, why }) => `| ${dashboard} | ${api} | ${why} |`),
    "\n",
  ].join("\n");

/** What each plan of a zone has, between `<!-- plans … -->` and `<!-- /plans -->`. */
const withPlans = (old: string): string =>
  old.replace(/(<!-- plans.*?-->\n)[\s\S]*?(<!-- \/plans -->)/, (_, begin: string, end: string) => {
    const row = (what: string, of: (limits: PlanLimits) => string | number): string =>
      `| ${[what, ...PLANS.map((plan) => of(PLAN_LIMITS[plan]))].join(" | ")} |`;
    const has = (is: boolean): string => (is ? "yes" : "no");
    const table = [
      `| | ${PLANS.join(" | ")} |`,
      `|---|${PLANS.map(() => "---|").join("")}`,
      row("longest body (`maxBody`)", ({ largestBody }) => `${largestBody}B`),
      row("rate limiting rules", ({ rateLimits }) => rateLimits),
      row("longest counting period", ({ rateLimitSeconds }) => `${Math.max(...rateLimitSeconds)} s`),
      row("rate limits by host", ({ rateLimitsByHost }) => has(rateLimitsByHost)),
      row("a switch for managed rules", ({ managedRules }) => has(managedRules)),
      row("cache rules", ({ cacheRules }) => cacheRules),
      row("redirects", ({ redirects }) => redirects),
    ];
    return `${begin}\n${table.join("\n")}\n\n${end}`;
  });

function errors(): string {
  return [
    "# Every mistake that stops a run before anything is touched",
    "",
    "A mistake in a definition, in a stack's settings or in a chart (KB) stops the run, and all of them are reported at once: where,",
    "what was found, what is allowed, what to do. Codes never change their meaning. (`npm run docs` writes this page from the code.)",
    "",
    "| code | what it means |",
    "|---|---|",
    ...Object.entries({ ...PROBLEMS, ...MANIFEST_PROBLEMS }).map(
      ([code, meaning]) => `| <a id="${code.toLowerCase()}"></a>${code} | ${meaning} |`,
    ),
    "",
    "## What stops an emergency alone",
    "",
    "Checked wherever the public certificate is at hand: by `pulumi up` while Cloudflare is bypassed, by `trivet emergency on`, and by `trivet certificate`",
    "and `trivet doctor` at any time.",
    "",
    "| code | what it means |",
    "|---|---|",
    ...Object.entries(CERTIFICATE_PROBLEMS).map(
      ([code, meaning]) => `| <a id="${code.toLowerCase()}"></a>${code} | ${meaning} |`,
    ),
    "",
    "## What is worth saying and stops nothing",
    "",
    "| code | what it means |",
    "|---|---|",
    ...Object.entries(NOTICES).map(([code, meaning]) => `| <a id="${code.toLowerCase()}"></a>${code} | ${meaning} |`),
    "",
  ].join("\n");
}

const check = process.argv.includes("--check");
for (const { file, text } of generated) {
  const path = join(ROOT, file);
  let old = "";
  try {
    old = readFileSync(path, "utf8");
  } catch {
    // It is written for the first time.
  }
  const now = text(old);
  if (now === old) continue;
  if (check) {
    console.error(`${file} is stale: run \`npm run docs\` and commit what it writes`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, now);
    console.log(`${file} written`);
  }
}
