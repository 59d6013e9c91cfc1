import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(__dirname, "..", "..");

const sources = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => join(folder, file));

const importsOf = (file: string): string[] =>
  [
    ...readFileSync(join(root, file), "utf8").matchAll(
      /^(?:import|export)[^;]*?from "([^"]+)"|import\("([^"]+)"\)|require\("([^"]+)"\)/gm,
    ),
  ].map(([, from, dynamic, required]) => from ?? dynamic ?? required ?? "");

const stray = (files: readonly string[], allowed: RegExp): string[] =>
  files.flatMap((file) =>
    importsOf(file)
      .filter((from) => !allowed.test(from))
      .map((from) => `${file} imports ${from}`),
  );

const chartFolders = readdirSync(join(root, "components"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && readdirSync(join(root, "components", entry.name)).includes("charts"))
  .map(({ name }) => `components/${name}/charts`);

test("the model is pure: it imports nothing but itself, zod, ipaddr.js and what reads a certificate", () => {
  expect(sources("model").length).toBeGreaterThan(20);
  expect(stray(sources("model"), /^\.{1,2}\/(?!\.\.\/)|^zod$|^ipaddr\.js$|^node:crypto$/)).toEqual([]);
});

test("charts import cdk8s, the model and what every pod shares, and never Pulumi", () => {
  expect(chartFolders.length).toBeGreaterThanOrEqual(6);
  const allowed =
    /^\.\/|^\.\.\/\.\.\/\.\.\/model\/|^\.\.\/\.\.\/pods\/charts\/|^cdk8s(-plus-28)?$|^constructs$|^yaml$|^node:crypto$/;
  expect(stray(chartFolders.flatMap(sources), allowed)).toEqual([]);
});

test("what renders without the engine loads neither Pulumi nor a cloud's package", () => {
  expect(
    stray(["components/charts.ts", "components/render.ts"], /^\.\/|^\.\.\/model\/|^cdk8s$|^yaml$|^node:(fs|path)$/),
  ).toEqual([]);
});
