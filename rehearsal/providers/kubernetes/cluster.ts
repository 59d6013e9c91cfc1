/** The objects of one cluster: generic over kinds, by way of discovery. */

import { Connection, TransportError, type RequestOptions } from "./connection";
import { Discovery, DISCOVERY_TIMEOUT, pathOf, type ApiResource } from "./discovery";
import type { ConnectionSettings } from "./kubeconfig";
import type { Clock } from "./clock";
import { gvkOf, nameOf, namespaceOf, type GroupVersionKind, type JsonObject } from "./object";
import { WatchHub } from "./watch-hub";

/** The manager of whatever is created, and of all that client-side apply does. */
export const CREATE_MANAGER = "pulumi-kubernetes";

export interface WriteOptions {
  dryRun?: boolean;
  fieldManager?: string;
  signal?: AbortSignal;
}

/** Fields the server does not know are dropped with a warning, not refused: that is what the real provider asks for. */
const FIELD_VALIDATION = "Warn";

const queryOf = ({ dryRun, fieldManager }: WriteOptions): Record<string, string | undefined> => ({
  dryRun: dryRun === true ? "All" : undefined,
  fieldManager,
  fieldValidation: FIELD_VALIDATION,
});

const signalOf = (signal: AbortSignal | undefined): Pick<RequestOptions, "signal"> =>
  signal === undefined ? {} : { signal };

export class Cluster {
  readonly connection: Connection;
  readonly discovery: Discovery;
  readonly watches: WatchHub;

  constructor(settings: ConnectionSettings, clock: Clock) {
    this.connection = new Connection(settings);
    this.discovery = new Discovery(this.connection);
    this.watches = new WatchHub(this.connection, clock);
  }

  /**
   * Throws when the cluster cannot be used. The real provider downloads the OpenAPI document (4 MB) and says so in its
   * errors; the index of its third version needs the same permission and costs the server nothing.
   */
  async probe(): Promise<void> {
    try {
      await this.connection.request("GET", "/openapi/v3", { query: { timeout: DISCOVERY_TIMEOUT } });
    } catch (error) {
      const { message } = error as Error;
      throw error instanceof TransportError
        ? new TransportError(message.replace("/openapi/v3?", "/openapi/v2?"))
        : error;
    }
  }

  async list(gvk: GroupVersionKind, namespace: string): Promise<JsonObject> {
    const resource = await this.discovery.resourceFor(gvk);
    return this.connection.request("GET", pathOf(resource, namespace));
  }

  async get(object: JsonObject, name = nameOf(object)): Promise<JsonObject> {
    return this.connection.request("GET", await this.pathTo(object, name));
  }

  async create(object: JsonObject, options: WriteOptions): Promise<JsonObject> {
    const path = pathOf(await this.resourceFor(object), namespaceOf(object));
    return this.connection.request("POST", path, {
      body: object,
      query: queryOf(options),
      ...signalOf(options.signal),
    });
  }

  async apply(object: JsonObject, options: WriteOptions & { force: boolean }): Promise<JsonObject> {
    return this.connection.request("PATCH", await this.pathTo(object), {
      body: object,
      contentType: "application/apply-patch+yaml",
      query: { ...queryOf(options), force: String(options.force) },
      ...signalOf(options.signal),
    });
  }

  async patch(
    object: JsonObject,
    type: "json-patch" | "merge-patch" | "strategic-merge-patch",
    patch: JsonObject | JsonObject[],
    options: WriteOptions = {},
  ): Promise<JsonObject> {
    return this.connection.request("PATCH", await this.pathTo(object), {
      body: patch,
      contentType: `application/${type}+json`,
      query: queryOf(options),
      ...signalOf(options.signal),
    });
  }

  async replace(object: JsonObject, options: WriteOptions): Promise<JsonObject> {
    return this.connection.request("PUT", await this.pathTo(object), {
      body: object,
      query: queryOf(options),
      ...signalOf(options.signal),
    });
  }

  async delete(object: JsonObject, name: string, propagationPolicy: string): Promise<void> {
    await this.connection.request("DELETE", await this.pathTo(object, name), {
      body: { apiVersion: "v1", kind: "DeleteOptions", propagationPolicy },
    });
  }

  resourceFor(object: JsonObject): Promise<ApiResource> {
    return this.discovery.resourceFor(gvkOf(object));
  }

  close(): void {
    this.watches.close();
    this.connection.close();
  }

  private async pathTo(object: JsonObject, name = nameOf(object)): Promise<string> {
    return pathOf(await this.resourceFor(object), namespaceOf(object), name);
  }
}
