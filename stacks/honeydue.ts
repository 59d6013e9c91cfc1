import {
  config,
  definePlatform,
  external,
  internalUrl,
  publicUrl,
  redis,
  secret,
  service,
  worker,
} from "../model/definition";
import { mebibytes, millicores } from "../model/units";

/**
 * honeyDue: a mobile app's API on three Hetzner nodes behind proxied Cloudflare records.
 *
 * Redis was one instance with allkeys-lru, which may evict waiting jobs: here cache and queue are apart.
 * The web client had no host of its own (the apex belongs to the api, which also serves the marketing page). A service that
 * neither a host nor a workload reaches is refused, so it gets `app`.
 */
export default definePlatform({
  name: "honeydue",
  domain: "honeydue.example",
  cluster: {
    location: "nbg1",
    serverType: "cx33",
    k3s: "v1.36.4+k3s1",
    pools: { general: { count: 0, serverType: "cx33" } }, // for a busy season: pulumi config set --path trivet:pools.general 2
    snapshots: {
      endpoint: "s3.eu-central.backups.example", // another provider than Hetzner: one bill that is not paid must not take both
      region: "eu-central",
      bucket: "honeydue-etcd",
      accessKeyId: secret("snapshotsKeyId"),
      secretAccessKey: secret("snapshotsKey"),
    },
  },
  edge: {
    kind: "proxied",
    tls: "strict",
    zone: { redirects: [{ from: "www", to: "@" }] },
    operators: { team: "honeydue", emailDomains: ["honeydue.example"], machines: ["uptime"] }, // `uptime` asks the admin whether it is well
  },
  registry: {
    server: "git.honeydue.example",
    username: config("registryUsername"),
    password: secret("registryPassword"),
  },
  stores: {
    cache: redis({ maxMemory: mebibytes(256), eviction: "allkeys-lru" }),
    queue: redis({ maxMemory: mebibytes(128), eviction: "noeviction", keep: true }),
  },
  externals: {
    postgres: external({
      host: config("postgresHost"), // the pooler
      port: 5432,
      env: {
        POSTGRES_DIRECT_HOST: config("postgresDirectHost"), // what the api falls back to when the pooler is down
        POSTGRES_DATABASE: "honeydue",
        POSTGRES_USER: "honeydue",
        POSTGRES_PASSWORD: secret("postgresPassword"),
      },
    }),
    objects: external({
      host: config("objectsHost"),
      port: 443,
      env: {
        OBJECTS_BUCKET: "honeydue-uploads",
        OBJECTS_KEY_ID: secret("objectsKeyId"),
        OBJECTS_KEY: secret("objectsKey"),
      },
    }),
    apns: external({ host: "push.apns.example", port: 443, env: { APNS_KEY: secret("apnsKey") } }),
    fcm: external({ host: "fcm.example", port: 443, env: { FCM_CREDENTIALS: secret("fcmCredentials") } }),
    smtp: external({
      host: config("smtpHost"),
      port: 587, // 25 and 465 are dropped by Hetzner
      env: { SMTP_USER: config("smtpUser"), SMTP_PASSWORD: secret("smtpPassword") },
    }),
  },
  services: {
    api: service({
      image: "api",
      replicas: 3,
      port: 8000,
      hosts: ["api", "@"],
      uses: ["cache", "queue", "postgres", "objects"],
      // It migrates the database at start behind a lock; a cold boot was seen to take up to 240 s.
      health: { ready: "/api/health/", live: "/api/health/live", startsWithinSeconds: 240, periodSeconds: 5 },
      metrics: "/metrics",
      resources: { cpu: millicores(200), memory: mebibytes(512) },
      env: { SESSION_KEY: secret("sessionKey"), PUBLIC_URL: publicUrl("api") },
    }),
    web: service({
      image: "web",
      replicas: 3,
      port: 3000,
      hosts: ["app"],
      uses: ["api"],
      health: { ready: "/api/ready", startsWithinSeconds: 60 },
      resources: { cpu: millicores(100), memory: mebibytes(384) },
      writablePaths: ["/tmp", "/app/.next/cache"],
      env: { API_URL: internalUrl("api"), NEXT_PUBLIC_API_URL: publicUrl("api") },
    }),
    admin: service({
      image: "admin",
      port: 3000,
      hosts: ["admin"],
      guard: "operators",
      uses: ["api"],
      health: { ready: "/api/ready", startsWithinSeconds: 60 },
      resources: { cpu: millicores(50), memory: mebibytes(256) },
      writablePaths: ["/tmp", "/app/.next/cache"],
      // Its server side used to call the public URL and so went out to Cloudflare and back; browsers still need that one.
      env: { API_URL: internalUrl("api"), NEXT_PUBLIC_API_URL: publicUrl("api") },
    }),
    worker: worker({
      image: "worker",
      singleton: true,
      jobs: "queue",
      uses: ["queue", "cache", "postgres", "objects", "smtp", "apns", "fcm"],
      resources: { cpu: millicores(100), memory: mebibytes(256) },
    }),
  },
  metrics: { remoteWrite: "https://obs.example/api/v1/write", token: secret("obsIngestToken") },
});
