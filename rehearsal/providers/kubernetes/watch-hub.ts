/**
 * Shared watches: however many steps wait for Deployments of one namespace, the server is asked once. The first
 * subscriber starts the list and watch, the last one ends it.
 */

import { ApiError, type Connection, type WatchEvent } from "./connection";
import { sleep, type Clock } from "./clock";
import { isObject, listAt, textAt, type JsonObject } from "./object";

/** Between two attempts to come back after the connection was lost. */
const RECONNECT_SECONDS = 0.5;

type Subscriber = (event: WatchEvent) => void;

class SharedWatch {
  private readonly connection: Connection;
  private readonly clock: Clock;
  private readonly path: string;
  private readonly subscribers = new Set<Subscriber>();
  private readonly objects = new Map<string, JsonObject>();
  private readonly abort = new AbortController();

  constructor(connection: Connection, clock: Clock, path: string) {
    this.connection = connection;
    this.clock = clock;
    this.path = path;
    void this.run();
  }

  get isIdle(): boolean {
    return this.subscribers.size === 0;
  }

  add(subscriber: Subscriber): void {
    this.subscribers.add(subscriber);
    for (const object of this.objects.values()) subscriber({ type: "ADDED", object });
  }

  remove(subscriber: Subscriber): void {
    this.subscribers.delete(subscriber);
  }

  stop(): void {
    this.abort.abort();
  }

  private async run(): Promise<void> {
    const { signal } = this.abort;
    while (!signal.aborted) {
      try {
        let resourceVersion = await this.synchronise();
        // A server ends each watch after a while: go on from the last version seen, without listing again.
        while (!signal.aborted) {
          const query = { resourceVersion, allowWatchBookmarks: "false" };
          await this.connection.watch(
            this.path,
            query,
            (event) => {
              resourceVersion = textAt(event.object, "metadata", "resourceVersion");
              this.observe(event);
            },
            signal,
          );
        }
      } catch (error) {
        if (signal.aborted) return;
        // Too old a version: list again at once. Anything else may be a server that restarts.
        const expired = error instanceof ApiError && error.code === 410;
        if (!expired) await sleep(this.clock, RECONNECT_SECONDS, signal).catch(() => undefined);
      }
    }
  }

  private async synchronise(): Promise<string> {
    const list = await this.connection.request("GET", this.path, { signal: this.abort.signal });
    const apiVersion = textAt(list, "apiVersion");
    const kind = textAt(list, "kind").replace(/List$/, "");
    // The items of a list carry no kind of their own.
    const items = listAt(list, "items")
      .filter(isObject)
      .map((item) => ({ apiVersion, kind, ...item }));
    const present = new Set(items.map((item) => textAt(item, "metadata", "uid")));
    for (const [uid, object] of this.objects) if (!present.has(uid)) this.observe({ type: "DELETED", object });
    for (const object of items) this.observe({ type: "ADDED", object });
    return textAt(list, "metadata", "resourceVersion");
  }

  private observe(event: WatchEvent): void {
    const uid = textAt(event.object, "metadata", "uid");
    const before = this.objects.get(uid);
    if (event.type === "DELETED") this.objects.delete(uid);
    else {
      this.objects.set(uid, event.object);
      const version = textAt(event.object, "metadata", "resourceVersion");
      if (before !== undefined && textAt(before, "metadata", "resourceVersion") === version) return;
    }
    for (const subscriber of this.subscribers) subscriber(event);
  }
}

export class WatchHub {
  private readonly connection: Connection;
  private readonly clock: Clock;
  private readonly watches = new Map<string, SharedWatch>();

  constructor(connection: Connection, clock: Clock) {
    this.connection = connection;
    this.clock = clock;
  }

  /** Calls back with all objects of a collection, then with every change; the answer ends it. */
  subscribe(path: string, subscriber: Subscriber): () => void {
    let watch = this.watches.get(path);
    if (watch === undefined) {
      watch = new SharedWatch(this.connection, this.clock, path);
      this.watches.set(path, watch);
    }
    const shared = watch;
    shared.add(subscriber);
    return () => {
      shared.remove(subscriber);
      if (!shared.isIdle) return;
      shared.stop();
      if (this.watches.get(path) === shared) this.watches.delete(path);
    };
  }

  close(): void {
    for (const watch of this.watches.values()) watch.stop();
    this.watches.clear();
  }
}
