import {
  config,
  definePlatform,
  external,
  internalUrl,
  redis,
  secret,
  service,
  site,
  worker,
} from "../model/definition";
import { mebibytes, millicores } from "../model/units";

/**
 * Hangangjari: a city-park app behind a Cloudflare Tunnel. No server has an open port: visitors and operators come through
 * connectors, each kind through its own; the brand pages at the apex are static and live without the cluster.
 *
 * Postgres with PostGIS runs in the cluster there. Trivet has no Postgres of its own yet, so here it is an external.
 */
export default definePlatform({
  name: "hangangjari",
  domain: "hangangjari.example",
  cluster: {
    location: "nbg1",
    serverType: "cx33",
    k3s: "v1.36.4+k3s1",
    snapshots: {
      endpoint: config("backupsHost"),
      bucket: "hangangjari-etcd",
      accessKeyId: secret("snapshotsKeyId"),
      secretAccessKey: secret("snapshotsKey"),
    },
  },
  edge: {
    kind: "tunnel",
    zone: { mail: "none", dnssec: true },
    operators: {
      team: "hangangjari",
      emailDomains: ["hangangjari.example"],
      machines: ["source-watch"], // asks the admin's API whether the public sources are fresh
      kubernetesApi: "access",
    },
    direct: { prepared: true }, // a Traefik on each server waits for an emergency, behind a firewall without a port
  },
  sites: {
    brand: site({ hosts: ["@"], repository: { owner: "hangangjari", name: "pages", output: "brand" } }),
    support: site({ hosts: ["support"], repository: { owner: "hangangjari", name: "pages", output: "support" } }),
    privacy: site({ hosts: ["privacy"], repository: { owner: "hangangjari", name: "pages", output: "privacy" } }),
  },
  stores: {
    // Latest status and indexes: all of it can be collected again.
    cache: redis({ maxMemory: mebibytes(128), eviction: "allkeys-lru" }),
  },
  externals: {
    postgres: external({
      host: config("postgresHost"),
      port: 5432,
      env: {
        POSTGRES_DATABASE: "hangangjari",
        POSTGRES_USER: "hangangjari",
        POSTGRES_PASSWORD: secret("postgresPassword"),
      },
    }),
    sources: external({ host: "openapi.seoul.example", port: 443, env: { SOURCES_KEY: secret("sourcesKey") } }),
    apns: external({ host: "push.apns.example", port: 443, env: { APNS_KEY: secret("apnsKey") } }),
  },
  services: {
    api: service({
      image: "api",
      replicas: 2,
      port: 8000,
      // The widgets' home summary is asked for most: one hop less. Everything else goes through Traefik.
      hosts: ["api", { host: "api", path: "/v1/home", via: "service" }],
      http: { cache: "nothing" },
      uses: ["cache", "postgres"],
      health: { ready: "/health/ready", live: "/health/live" },
      metrics: "/metrics",
      resources: { cpu: millicores(200), memory: mebibytes(384) },
    }),
    admin: service({
      image: "admin",
      port: 8080,
      hosts: ["admin"],
      guard: "operators",
      uses: ["api", "postgres"],
      health: { ready: "/health" },
      env: { API_URL: internalUrl("api") },
    }),
    parking: worker({ image: "workers", singleton: true, uses: ["cache", "postgres", "sources"] }),
    outing: worker({ image: "workers", singleton: true, uses: ["cache", "postgres", "sources"] }),
    forecast: worker({ image: "workers", singleton: true, uses: ["cache", "postgres", "sources"] }),
    push: worker({ image: "workers", singleton: true, uses: ["postgres", "apns"] }),
  },
  metrics: { remoteWrite: "https://obs.hangangjari.example/api/v1/write", token: secret("obsIngestToken") },
});
