/**
 * Images that Trivet itself brings, by the digest of their multi-architecture index. Collected 2026-11-21.
 * Before a release: `docker buildx imagetools inspect <reference>` for each.
 */
export const IMAGES = {
  /**
   * The mirror that K3s v1.36.3 and v1.36.4 ship Traefik 3.7.8 from. Read in one project only: check it first.
   */
  traefik:
    "rancher/mirrored-library-traefik:3.7.8@sha256:4299bbed850421258fc5448c2e0e6ad350981d4d335a68de11b92448aedbefe5",
  /** Read in six projects and more. User 65532. */
  cloudflared:
    "cloudflare/cloudflared:2026.10.0@sha256:9b49eed8f62806d5d45ddf59ecefb5710429598ea6d3fcccd2af938f621b2b07",
  /** Newest of several builds of this tag, read in four projects. User 101. */
  nginx:
    "nginxinc/nginx-unprivileged:1.30.5-alpine@sha256:15c994d10d6d78658721c3bcafff14cb281fba2a4bdf9d5ba92c416a472516e3",
  /** Read in nine projects. User 999, group 1000. */
  redis: "redis:8.10.2-alpine@sha256:3811787313eba226a2ef38658c6ccb91cd5e110edc89c37767de373120a0e5a0",
  /** Pinned by two independent means in one project; the version that the rehearsal builds from source. */
  vmagent: "victoriametrics/vmagent:v1.150.0@sha256:3eff5874d59292714878dcb6aee14f048bf19b7312b727860ba5e7d29e2e0c07",
} as const;
