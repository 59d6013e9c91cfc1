import * as pulumi from "@pulumi/pulumi";
import type { CloudApi } from "../../../components/cloud-api";
import { lostAnswerOptions } from "../../../components/lost-answers/lost-answers";
import { registered } from "../../support/mocks";
import { notingCloud } from "../../support/noting-cloud";

/** This platform's mark. */
export const MINE = "00112233445566ff";

/** A hook, which is registered with the engine as it is made. */
export async function hookIn<T>(make: () => T): Promise<T> {
  let made!: T;
  await registered(() => {
    made = make();
    return [];
  });
  return made;
}

interface Clouds {
  /** @default one that has nothing */
  hetzner?: CloudApi;
  cloudflare?: CloudApi;
}

export async function hooksOf(
  clouds: Clouds,
): Promise<{ beforeCreate: pulumi.ResourceHook; onError: pulumi.ErrorHook }> {
  const { hooks } = await hookIn(() =>
    lostAnswerOptions({ hetzner: notingCloud({}), cloudflare: notingCloud({}), ...clouds, installation: MINE }),
  );
  return { beforeCreate: (hooks.beforeCreate as pulumi.ResourceHook[])[0]!, onError: hooks.onError![0]! };
}

type Inputs = Record<string, unknown>;

const about = (type: string) => ({ urn: `urn:pulumi:s::p::${type}::n`, id: "", name: "n", type });

/** The hook that looks before a create, called as the engine calls it. */
export async function beforeCreateAt(cloudflare: CloudApi, type: string, newInputs: Inputs): Promise<void> {
  const { beforeCreate } = await hooksOf({ cloudflare });
  await beforeCreate.callback({ ...about(type), newInputs });
}

/** What the hook answers to a create that failed, called as the engine calls it. */
export async function afterFailedCreate(
  clouds: Clouds,
  type: string,
  newInputs: Inputs,
  failedOperation = "create",
): Promise<boolean> {
  const { onError } = await hooksOf(clouds);
  return onError.callback({ ...about(type), newInputs, failedOperation, errors: ["it exists already"] });
}

/** The hook that clears up after a create, called as the engine calls it. */
export async function afterCreate(
  make: () => pulumi.ResourceHook,
  id: string,
  type: string,
  newInputs: Inputs,
): Promise<void> {
  const hook = await hookIn(make);
  await hook.callback({ ...about(type), id, newInputs });
}

type Severity = "info" | "error" | "debug";

/** What people were told, by how grave it is. Until the end of the test nothing of it is printed. */
export function noteWords(): Record<Severity, string[]> {
  const said: Record<Severity, string[]> = { info: [], error: [], debug: [] };
  for (const severity of ["info", "error", "debug"] as const)
    jest
      .spyOn(pulumi.log, severity)
      .mockImplementation(async (...args: unknown[]) => void said[severity].push(String(args[0])));
  return said;
}
