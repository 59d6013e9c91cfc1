import { config, definePlatform, external, internalUrl, redis, secret, service, worker } from "../model/definition";
import { mebibytes, millicores } from "../model/units";

/**
 * Farm: a Django gateway with Rust services under its paths, Celery, and a Nextcloud that is a client of the gateway.
 *
 * Redis has Sentinel there, for which Trivet has no store yet: here broker and cache are apart, one instance each. The services'
 * own databases are externals for the same reason. Caddy, today's front door, is Cloudflare and Traefik here. Operators reach the
 * Kubernetes API over their Tailscale network, as there; Grafana is behind Cloudflare Access.
 */
export default definePlatform({
  name: "farm",
  domain: "farm.example",
  cluster: { location: "fsn1", serverType: "cx43", k3s: "v1.36.4+k3s1" },
  edge: {
    kind: "proxied",
    tls: "strict",
    zone: {
      plan: "pro",
      rateLimits: [{ host: "@", path: "/api/v1/token", requests: 10, seconds: 60 }],
      redirects: [{ from: "www", to: "@" }],
      mail: {
        mx: [{ host: "mx.mail.example", priority: 10 }],
        spf: "v=spf1 include:mail.example -all",
        dmarc: "v=DMARC1; p=quarantine",
      },
      caa: ["letsencrypt.org"],
    },
    operators: {
      team: "farm",
      emails: [config("operatorEmail")],
      kubernetesApi: "tailscale",
      tailnet: { name: config("tailnet"), authKey: secret("tailscaleAuthKey") },
    },
  },
  stores: {
    broker: redis({ maxMemory: mebibytes(256), eviction: "noeviction", keep: true }),
    // Schema 1 h, tokens 5 min, farm state 6 h, weather 1 h; Nextcloud's workers share it, so that one token is enough for all.
    cache: redis({ maxMemory: mebibytes(512), eviction: "allkeys-lru" }),
  },
  externals: {
    postgres: external({
      host: config("postgresHost"),
      port: 5432,
      env: { POSTGRES_PASSWORD: secret("postgresPassword") },
    }),
    mysql: external({ host: config("mysqlHost"), port: 3306, env: { MYSQL_PASSWORD: secret("mysqlPassword") } }),
    catalogue: external({ host: "stac.satellites.example", port: 443 }),
    openmeteo: external({ host: "api.open-meteo.example", port: 443 }),
    nasapower: external({ host: "power.nasa.example", port: 443 }),
  },
  services: {
    gateway: service({
      image: "gateway",
      replicas: 3,
      port: 8000,
      hosts: ["@"],
      http: { cache: "nothing", answersWithinSeconds: 30 },
      uses: ["broker", "cache", "postgres", "ndvi", "weather"],
      health: { ready: "/health/ready", live: "/health/live" },
      metrics: "/metrics",
      resources: { cpu: millicores(300), memory: mebibytes(512) },
      env: {
        SECRET_KEY: secret("djangoSecretKey"),
        NDVI_URL: internalUrl("ndvi"),
        WEATHER_URL: internalUrl("weather"),
      },
    }),
    ndvi: service({
      image: "ndvi",
      replicas: 2,
      port: 8081,
      hosts: [{ host: "@", path: "/api/v1/ndvi" }],
      http: { cache: "nothing" },
      uses: ["cache", "postgres", "catalogue"],
      health: { ready: "/health" },
      metrics: "/metrics",
    }),
    weather: service({
      image: "weather",
      replicas: 2,
      port: 8090,
      hosts: [{ host: "@", path: "/api/v1/weather" }],
      http: { cache: "nothing" },
      uses: ["cache", "mysql", "openmeteo", "nasapower"],
      health: { ready: "/health" },
      metrics: "/metrics",
    }),
    nextcloud: service({
      image: "nextcloud",
      port: 8080,
      hosts: ["cloud"],
      http: { maxBody: mebibytes(100), rateLimit: { perSecond: 20, burst: 60 } },
      uses: ["cache", "postgres", "gateway"],
      health: { ready: "/status.php", startsWithinSeconds: 120 },
      resources: { memory: mebibytes(512) },
      writablePaths: ["/tmp", "/var/www/html/data"],
      env: { GATEWAY_URL: internalUrl("gateway"), GATEWAY_TOKEN: secret("integrationToken") },
    }),
    grafana: service({
      image: "grafana",
      port: 3000,
      hosts: ["grafana"],
      guard: "operators",
      uses: ["postgres"],
      health: { ready: "/api/health" },
      writablePaths: ["/tmp", "/var/lib/grafana"],
    }),
    // Tasks of 60 to 90 s: one that has begun may end.
    celery: worker({
      image: "gateway",
      replicas: 2,
      jobs: "broker",
      uses: ["broker", "cache", "postgres", "ndvi", "weather"],
      stopsWithinSeconds: 120,
      resources: { memory: mebibytes(512) },
    }),
    beat: worker({ image: "gateway", singleton: true, jobs: "broker", uses: ["broker"] }),
  },
});
