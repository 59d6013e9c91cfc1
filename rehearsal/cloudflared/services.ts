import { readFile } from "node:fs/promises";
import { delimiter } from "node:path";
import { z } from "zod";

/** Where a service's name leads: cluster DNS and the Service's addresses in one. */
export type Services = (host: string, port: number) => Promise<readonly string[]>;

/** `127.20.0.9:34567` each, any of them as good. */
const schema = z.record(z.string(), z.array(z.string()));

/** The address itself: where names are resolved by the machine. */
export const servicesByName: Services = (host, port) => Promise.resolve([`${host}:${port}`]);

/**
 * A file of `{ "api.honeydue.svc.cluster.local:8000": ["127.20.0.9:34567"] }`, read for every request, so that whoever plays the pods only has to
 * write it. A name that is not in it leads nowhere: a connector inside the cluster would not find it either. `api.honeydue` and
 * `api.honeydue.svc` mean the same Service. Several files may be named, divided as in PATH; one that is not there yet says nothing.
 */
export const servicesFromFile =
  (files: string): Services =>
  async (host, port) => {
    const all = await Promise.all(files.split(delimiter).map((file) => readFile(file, "utf8").catch(() => "{}")));
    const known = new Map(all.flatMap((text) => Object.entries(schema.parse(JSON.parse(text)))));
    for (const suffix of ["", ".svc.cluster.local", ".cluster.local"]) {
      const found = known.get(`${host}${suffix}:${port}`);
      if (found !== undefined) return found;
    }
    return [];
  };
