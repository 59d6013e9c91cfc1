import { readFileSync } from "node:fs";
import { RESOURCE_TYPES } from "../../../../rehearsal/providers/cloudflare/resources";

/** What the installed SDK lets a program say; the recordings are of an older provider. */
function inputsOfSdk(token: string): string[] {
  const name = token.split(":").at(-1) ?? "";
  const file = require
    .resolve(`@pulumi/cloudflare/${name.charAt(0).toLowerCase()}${name.slice(1)}`)
    .replace(/\.js$/, ".d.ts");
  const declared =
    new RegExp(`export interface ${name}Args \\{(.*?)\\n\\}`, "s").exec(readFileSync(file, "utf8"))?.[1] ?? "";
  return [...declared.matchAll(/^ {4}(\w+)\??: /gm)].flatMap(([, key]) => (key === undefined ? [] : [key]));
}

test.each(RESOURCE_TYPES.map((type) => [type.token, type] as const))(
  "%s knows every input of the installed SDK",
  (token, { attributes }) => {
    const inputs = inputsOfSdk(token);
    expect(inputs.length).toBeGreaterThan(1);
    expect(inputs.filter((name) => attributes[name] === undefined)).toEqual([]);
  },
);
