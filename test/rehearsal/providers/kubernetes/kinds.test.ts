/**
 * The recorded life of 25 kinds: checked, created, changed, read and deleted, against a real API server. The recording
 * followed one object of a kind through all its changes, and so does this: the cases of a kind build on one another.
 */

import { startControlPlane, type ControlPlane } from "../../../support/control-plane";
import { cases, fixtures, isFields, mergePatch, type Case, type Fields, type Step } from "./recording";
import { Replay } from "./replay";
import { expectMet } from "./unmet";
import { clear, gone, makeNamespace, makeWidgets, pathOf } from "./world";

const PHASES = ["check", "create", "diff", "read", "delete"];

const phaseOf = ({ id }: Case): string => (id.split("/")[2] ?? "").replace(/~\d+$/, "");

const idOf = ({ metadata }: Fields, name?: string): string => {
  const { namespace, name: own } = metadata as { namespace?: string; name: string };
  return `${namespace === undefined ? "" : `${namespace}/`}${name ?? own}`;
};

/** What holds for several kinds is recorded once, with placeholders for what differs. */
const filledIn = (one: Case, kind: string): Case => {
  const { object } = fixtures[kind]!;
  return JSON.parse(
    JSON.stringify(one, (key, value: unknown) => {
      if (value === "<bad id>") return key === "name" ? "Bad_Name" : idOf(object, "Bad_Name");
      return value === "<id>" ? idOf(object) : value;
    }),
  ) as Case;
};

const casesOf = (kind: string): Case[] =>
  cases
    .filter(({ id, kinds }) => id.startsWith("kinds/") && (kinds?.includes(kind) ?? id.split("/")[1] === kind))
    .map((one) => ({ ...filledIn(one, kind), id: one.id.replace("*", kind) }))
    .sort((one, other) => PHASES.indexOf(phaseOf(one)) - PHASES.indexOf(phaseOf(other)));

let plane: ControlPlane;

beforeAll(async () => {
  plane = await startControlPlane();
  await makeNamespace(plane, "contract");
  await makeWidgets(plane);
});

afterAll(() => plane?.stop());

/**
 * What controllers write at their own pace: the recording saw it at one moment, a test at another. It is looked at in
 * the await/ cases, which wait for it.
 */
const withoutProgress = (properties: Fields): Fields => {
  const { status: _status, ...rest } = properties;
  const metadata = isFields(rest["metadata"]) ? { ...rest["metadata"] } : {};
  const managers = Array.isArray(metadata["managedFields"]) ? metadata["managedFields"] : [];
  // The Deployment controller's count of template changes.
  if (isFields(metadata["annotations"]) && metadata["annotations"]["deployment.kubernetes.io/revision"] !== undefined)
    metadata["annotations"] = { ...metadata["annotations"], "deployment.kubernetes.io/revision": "<revision>" };
  metadata["managedFields"] = managers.filter((entry) => !String(entry).startsWith("kube-controller-manager/"));
  return { ...rest, metadata };
};

describe.each(Object.keys(fixtures))("%s", (kind) => {
  const { object } = fixtures[kind]!;
  let replay: Replay;
  let created: Step | undefined;

  const remove = (name?: string): Promise<void> => clear(plane, pathOf(object, name));

  /** An object that was given its name by the provider, for the diffs of such. */
  const makeAutonamed = async (): Promise<void> => {
    const unnamed = mergePatch(object, { metadata: { name: null } });
    await replay.run({ id: "autonamed", steps: [{ call: "Check", news: unnamed }] });
    const { state, id } = replay;
    await replay.run({ id: "autonamed", steps: [{ call: "Create", inputs: "$checked" }] });
    replay.named["autonamed state"] = replay.state;
    replay.named["checked inputs"] = replay.named["checked"]!;
    await remove(replay.id.split("/").at(-1));
    Object.assign(replay, { state, id });
  };

  beforeAll(() => {
    replay = new Replay({
      kind,
      options: { kubeconfig: plane.kubeconfig() },
      loose: withoutProgress,
      discard: (inputs) =>
        clear(plane, pathOf({ ...object, metadata: inputs["metadata"] ?? {} })).catch(() => undefined),
      world: async (step) => {
        if (step.olds === "state of the autonamed object" && replay.named["autonamed state"] === undefined)
          await makeAutonamed();
        // Two deletes that do not wait, then a look: the recording's pods were gone by then.
        if (step.call === "Read" && step.olds === undefined) await gone(plane, pathOf(object));
      },
    });
    replay.named["autoname inputs"] = mergePatch(object, {
      metadata: { name: "res-d1b443e2", annotations: { "pulumi.com/autonamed": "true" } },
    });
  });

  afterAll(() => replay.close());

  test.each(casesOf(kind).map((one) => [one.id, one] as const))("%s", async (id, one) => {
    const phase = phaseOf(one);
    let found: string[];
    if (phase === "create") {
      // The preview was recorded while the object was not there, after the real one all the same.
      created = one.steps[0];
      found = await replay.run({ ...one, steps: one.steps.slice(0, 1) });
      await remove();
      found.push(...(await replay.run({ ...one, steps: one.steps.slice(1) })));
      await replay.run({ id, steps: [{ call: "Create", inputs: created!.inputs! }] });
      replay.named["created state"] = replay.state;
    } else {
      found = await replay.run(one);
      if (phase === "check") {
        await remove();
        await remove("Bad_Name");
      }
    }
    expectMet(id, found);
  });
});
