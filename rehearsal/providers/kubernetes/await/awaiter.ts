/** Waits until an object has become what it should: events in, status lines out, a time limit over all. */

import type { Cluster } from "../cluster";
import type { Clock } from "../clock";
import type { WatchEvent } from "../connection";
import { pathOf } from "../discovery";
import { gvkOf, isObject, listAt, nameOf, namespaceOf, numberAt, textAt, type GroupVersionKind, type JsonObject } from "../object"; // prettier-ignore
import type { StatusLog } from "../status-log";

/** The wait ended badly; the object exists, and `subErrors` say what was still missing. */
export class AwaitError extends Error {
  readonly object: JsonObject;
  readonly subErrors: readonly string[];

  constructor(message: string, object: JsonObject, subErrors: readonly string[]) {
    super(message);
    this.object = object;
    this.subErrors = subErrors;
  }
}

export interface ReadinessContext {
  /** As the write answered it. */
  object: JsonObject;
  /** Before an update; absent at create. */
  previous?: JsonObject;
  status: StatusLog;
  /** Judges again after so many seconds. */
  later(seconds: number, callback: () => void): void;
  /** For the few rules that need to look something up. */
  cluster: Cluster;
}

/** Knows when one kind is ready. It sees its own object's events and those of the related kinds in the namespace. */
export interface Readiness {
  readonly related: readonly GroupVersionKind[];
  /** Called when a wait begins, not for a refresh. */
  start?(): void;
  observe(event: WatchEvent, kind: string): void;
  /** Writes status lines as it looks. Throws an AwaitError where no waiting helps. */
  isReady(): boolean;
  /** Judged when the time is over. @default not ready */
  isGoodEnough?(): boolean;
  problems(): readonly string[];
  /** The object as last seen. */
  readonly current: JsonObject;
  /** @default "'<name>' timed out waiting to be Ready" */
  readonly timeoutMessage?: string;
}

export type MakeReadiness = (context: ReadinessContext) => Readiness;

export const WAIT_SECONDS = 600;

const timedOut = (readiness: Readiness): AwaitError =>
  new AwaitError(
    readiness.timeoutMessage ?? `'${nameOf(readiness.current)}' timed out waiting to be Ready`,
    readiness.current,
    readiness.problems(),
  );

export const failedToInitialise = (object: JsonObject, subErrors: readonly string[]): AwaitError =>
  new AwaitError(`Resource '${nameOf(object)}' was created but failed to initialize`, object, subErrors);

const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

/**
 * A watch shared with other steps may still show the object as it was before this step's write: such news is old, and
 * would make a rollout that has not begun look finished.
 */
const isStale = (event: WatchEvent, since: JsonObject): boolean =>
  event.type !== "DELETED" &&
  (numberAt(event.object, "metadata", "generation") < numberAt(since, "metadata", "generation") ||
    Number(textAt(event.object, "metadata", "resourceVersion")) < Number(textAt(since, "metadata", "resourceVersion")));

export interface WaitOptions {
  timeoutSeconds: number;
  clock: Clock;
  signal: AbortSignal;
}

export const waitUntilReady = async (
  make: MakeReadiness,
  context: Omit<ReadinessContext, "later">,
  { timeoutSeconds, clock, signal }: WaitOptions,
): Promise<void> => {
  const { cluster, object } = context;
  const cleanups: Array<() => void> = [];
  const own = gvkOf(object);
  const uid = textAt(object, "metadata", "uid");
  try {
    await new Promise<void>((resolve, reject) => {
      const judge = (): void => {
        try {
          if (readiness.isReady()) resolve();
        } catch (error) {
          reject(asError(error));
        }
      };
      const readiness = make({
        ...context,
        later: (seconds, callback) => {
          cleanups.push(
            clock.after(seconds, () => {
              callback();
              judge();
            }),
          );
        },
      });
      const stop = (): void =>
        reject(
          new AwaitError(
            `Resource operation was cancelled for '${nameOf(readiness.current)}'`,
            readiness.current,
            readiness.problems(),
          ),
        );
      if (signal.aborted) return stop();
      signal.addEventListener("abort", stop, { once: true });
      cleanups.push(() => signal.removeEventListener("abort", stop));
      cleanups.push(
        clock.after(timeoutSeconds, () =>
          readiness.isGoodEnough?.() === true ? resolve() : reject(timedOut(readiness)),
        ),
      );
      const subscribe = async (gvk: GroupVersionKind): Promise<void> => {
        const resource = await cluster.discovery.resourceFor(gvk);
        const path = pathOf(resource, namespaceOf(object));
        cleanups.push(
          cluster.watches.subscribe(path, (event) => {
            const isOwn = gvk.kind === own.kind && textAt(event.object, "metadata", "uid") === uid;
            if (isOwn && isStale(event, object)) return;
            try {
              readiness.observe(event, gvk.kind);
            } catch (error) {
              return reject(asError(error));
            }
            judge();
          }),
        );
      };
      readiness.start?.();
      judge();
      void Promise.all([own, ...readiness.related].map(subscribe)).catch(reject);
    });
  } finally {
    for (const cleanup of cleanups) cleanup();
  }
};

/** Judges the object as it is now, for a refresh. */
export const readReadiness = async (make: MakeReadiness, context: Omit<ReadinessContext, "later">): Promise<void> => {
  const { cluster, object } = context;
  const readiness = make({ ...context, later: (_seconds, callback) => callback() });
  const namespace = namespaceOf(object);
  const lists = await Promise.all(
    readiness.related.map(async (gvk) => ({ gvk, list: await cluster.list(gvk, namespace).catch(() => ({})) })),
  );
  readiness.observe({ type: "ADDED", object }, gvkOf(object).kind);
  for (const { gvk, list } of lists)
    for (const item of listAt(list, "items"))
      if (isObject(item)) readiness.observe({ type: "ADDED", object: { ...item, kind: gvk.kind } }, gvk.kind);
  if (!readiness.isReady()) throw failedToInitialise(readiness.current, readiness.problems());
};

export const isOwnedBy = (object: JsonObject, owner: JsonObject | undefined): boolean =>
  owner !== undefined &&
  listAt(object, "metadata", "ownerReferences").some(
    (reference) => textAt(reference, "uid") === textAt(owner, "metadata", "uid"),
  );

export const conditionOf = (object: JsonObject, type: string): JsonObject | undefined =>
  listAt(object, "status", "conditions")
    .filter(isObject)
    .find((condition) => condition["type"] === type);

/** `[reason] message`, as shown for a condition that is not what it should be. */
export const describeCondition = (condition: JsonObject): string =>
  `[${textAt(condition, "reason")}] ${textAt(condition, "message")}`;
