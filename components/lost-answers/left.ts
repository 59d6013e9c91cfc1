import * as pulumi from "@pulumi/pulumi";
import type { CloudApi } from "../cloud-api";
import { outputValue } from "../output-value";

/** What stands at a cloud in place of the one that is to be made. */
export interface Left {
  /** For messages: "server honeydue-a (id 42)". */
  readonly title: string;
  /** Of the platform that made it; undefined where it has none. */
  readonly mark: string | undefined;
  /** Why it is not removed by itself, or undefined. */
  readonly inUse?: string | undefined;
  /** What to do where it is another's. @default rename the platform, or import it */
  readonly otherwise?: string;
  remove(): Promise<void>;
}

export interface Clouds {
  readonly hetzner: CloudApi;
  readonly cloudflare: CloudApi;
}

/** Of a resource, as the engine hands them to a hook. */
export type Inputs = Readonly<Record<string, unknown>>;

/** `mine` is the platform's mark, for what cannot carry it but is known to be ours by something that only this state has. */
export type Find = (clouds: Clouds, inputs: Inputs, mine: string) => Promise<Left | undefined>;

/** By the resource's type. */
export type Finders = Readonly<Record<string, Find>>;

/** Why people have to decide; undefined where it is ours and nothing uses it. */
export function reasonToLeave({ title, mark, inUse, otherwise }: Left, type: string, mine: string): string | undefined {
  if (mark !== mine)
    return `${title} exists already and is not of this stack. ${otherwise ?? `Rename the platform, or take it into the state: pulumi import ${type}`}`;
  if (inUse !== undefined)
    return (
      `${title} carries this platform's mark but is not in the state, and ${inUse}. ` +
      "If the state was restored from an older copy, import it; if an interrupted run made it, delete it at the provider."
    );
  return undefined;
}

export async function removeLeft(left: Left): Promise<void> {
  void pulumi.log.info(`${left.title} was made by a run that lost its answer; it is removed and made again`);
  await left.remove();
}

/** An input that the hook may have got as a secret. */
export const plain = (input: unknown): Promise<unknown> => outputValue(pulumi.output(input));
