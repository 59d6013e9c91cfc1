/** No recorded case is forgotten: each is played by one of the files of this folder, or listed with its reason. */

import { cases } from "./recording";
import { ELSEWHERE, UNMET } from "./unmet";

/** What each test file plays, by the beginning of the id. */
const PLAYED = [
  ...["checkConfig/", "diffConfig/", "config/plugin-info"], // provider-options.test.ts
  "kinds/", // kinds.test.ts
  ...["exists/", "create/", "conflict/", "fieldManager/", "patch/", "missing/", "delete/", "secret/", "unknown/", "normalise/"], // stories.test.ts
  "await/", // await.test.ts
  ...["configure/", "unreachable/", "lost-after-configure/"], // unreachable.test.ts
]; // prettier-ignore

test("every recorded case is played or listed as played elsewhere", () => {
  const known = [...PLAYED, ...Object.keys(ELSEWHERE)];
  expect(cases.map(({ id }) => id).filter((id) => !known.some((prefix) => id.startsWith(prefix)))).toEqual([]);
});

test("every unmet case is one that was recorded", () => {
  const ids = new Set(cases.flatMap(({ id, kinds = [] }) => [id, ...kinds.map((kind) => id.replace("*", kind))]));
  expect(Object.keys(UNMET).filter((id) => !ids.has(id))).toEqual([]);
});
