import { ApiError } from "./errors";
import type { Project } from "./project";

export interface ResourceReference {
  type: "server" | "network" | "firewall" | "placement_group" | "primary_ip" | "image";
  id: number;
}

export interface StoredAction {
  id: number;
  command: string;
  resources: ResourceReference[];
  /** Milliseconds since the epoch. */
  startedAt: number;
  dueAt: number;
  finishedAt: number | null;
  error: { code: string; message: string } | null;
  /** Takes effect when the action ends; an ApiError makes the action fail with its code. */
  effect: (() => void | Promise<void>) | undefined;
}

export interface ActionStart {
  command: string;
  resources: ResourceReference[];
  /** Begins when this one ends. */
  after?: StoredAction;
  effect?: () => void | Promise<void>;
  /** Default: the emulator's. 0 for what the API does at once: the action is finished when it is answered. */
  durationMilliseconds?: number;
}

/** What the API does in the background. An action is `running` first, shows progress, and takes effect when it ends. */
export class Actions {
  readonly #project: Project;
  readonly #durationMilliseconds: number;
  readonly #timers = new Set<NodeJS.Timeout>();
  #settling: Promise<void> = Promise.resolve();

  constructor(project: Project, durationMilliseconds: number) {
    this.#project = project;
    this.#durationMilliseconds = durationMilliseconds;
    for (const action of project.actions.values()) if (action.finishedAt === null) this.#arm(action);
  }

  start({
    command,
    resources,
    after,
    effect,
    durationMilliseconds = this.#durationMilliseconds,
  }: ActionStart): StoredAction {
    const startedAt = Math.max(Date.now(), after?.dueAt ?? 0);
    const action: StoredAction = {
      id: this.#project.nextId++,
      command,
      resources,
      startedAt,
      dueAt: startedAt + durationMilliseconds,
      finishedAt: null,
      error: null,
      effect,
    };
    this.#project.actions.set(action.id, action);
    if (durationMilliseconds > 0) this.#arm(action);
    return action;
  }

  /** Ends every action that is due, oldest first. Called before each request and by the timers. */
  settle(): Promise<void> {
    this.#settling = this.#settling.then(async () => {
      const due = [...this.#project.actions.values()]
        .filter((action) => action.finishedAt === null && action.dueAt <= Date.now())
        .sort((a, b) => a.dueAt - b.dueAt || a.id - b.id);
      for (const action of due) await end(action);
    });
    return this.#settling;
  }

  isRunningOn(type: ResourceReference["type"], id: number): boolean {
    for (const action of this.#project.actions.values()) {
      if (action.finishedAt === null && action.resources.some((one) => one.type === type && one.id === id)) return true;
    }
    return false;
  }

  /** Stops the clock; what is under way goes on in the next emulator that gets the project. */
  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #arm(action: StoredAction): void {
    // One millisecond more than needed: timers may fire a fraction early.
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        void this.settle();
      },
      Math.max(0, action.dueAt - Date.now()) + 1,
    );
    timer.unref();
    this.#timers.add(timer);
  }
}

async function end(action: StoredAction): Promise<void> {
  try {
    await action.effect?.();
  } catch (error) {
    const code = error instanceof ApiError ? error.code : "action_failed";
    action.error = { code, message: (error as Error).message };
  }
  action.effect = undefined;
  action.finishedAt = Date.now();
}

export function actionView(action: StoredAction) {
  const { id, command, resources, startedAt, dueAt, finishedAt, error } = action;
  const share = (Date.now() - startedAt) / Math.max(1, dueAt - startedAt);
  return {
    id,
    status: finishedAt === null ? "running" : error === null ? "success" : "error",
    command,
    progress: finishedAt === null ? Math.min(99, Math.max(0, Math.floor(share * 100))) : 100,
    started: new Date(startedAt).toISOString(),
    finished: finishedAt === null ? null : new Date(finishedAt).toISOString(),
    error,
    resources: resources.map(({ id, type }) => ({ id, type })),
  };
}
