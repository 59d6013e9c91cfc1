/** The provider's own options, against the recording: no cluster is needed. */

import { createKubernetesProvider } from "../../../../rehearsal/providers/kubernetes";
import { differences, toProperty, toValue } from "./likeness";
import { cases, kubeconfigs, type Fields, type Value } from "./recording";
import { expectMet } from "./unmet";
import type { PropertyMap } from "../../../../rehearsal/providers/protocol/provider";

const withKubeconfigs = (value: Value | undefined): PropertyMap =>
  toProperty(
    JSON.parse(
      JSON.stringify(value ?? {}, (_key, part: unknown) =>
        typeof part === "string" && part.startsWith("$kubeconfig-") ? (kubeconfigs[part.slice(1)] ?? part) : part,
      ),
    ) as Value,
  ) as PropertyMap;

const byPrefix = (prefix: string): Array<[string, (typeof cases)[number]]> =>
  cases.filter(({ id }) => id.startsWith(prefix)).map((one) => [one.id, one]);

const log = (): void => undefined;

test.each(byPrefix("diffConfig/"))("%s", async (_id, { steps }) => {
  for (const step of steps) {
    const provider = createKubernetesProvider({ environment: {} });
    const call = { urn: "urn:pulumi:test::contract::pulumi:providers:kubernetes::k8s", log };
    const answer = provider.diffConfig!({
      ...call,
      olds: withKubeconfigs(step.olds),
      news: withKubeconfigs(step.news),
    });
    if (step.error !== undefined) {
      await expect(answer).rejects.toThrow(step.error.message);
      continue;
    }
    const { changes, replaces = [], diffs = [] } = await answer;
    const expected = step.response as Fields;
    expect([`DIFF_${changes.toUpperCase()}`, [...replaces].sort(), [...diffs].sort()]).toEqual([
      expected["changes"],
      [...((expected["replaces"] ?? []) as string[])].sort(),
      [...((expected["diffs"] ?? []) as string[])].sort(),
    ]);
  }
});

test.each(byPrefix("checkConfig/"))("%s", async (_id, { steps }) => {
  for (const step of steps) {
    const provider = createKubernetesProvider({ environment: {} });
    const urn = `urn:pulumi:test::contract::pulumi:providers:kubernetes::${step.urn === undefined ? "k8s" : "default_4_34_2"}`;
    const news = withKubeconfigs(step.news);
    const { inputs, failures = [] } = await provider.checkConfig!({ urn, olds: {}, news, log });
    expect(differences(toValue(news), toValue(inputs))).toEqual([]);
    expect(failures).toEqual((step.response as Fields)["failures"] ?? []);
  }
});

test.each(byPrefix("config/plugin-info"))("%s", (id, { steps: [step] }) => {
  expectMet(id, differences(step?.response, { version: createKubernetesProvider().version }));
});
