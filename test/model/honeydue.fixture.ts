import type { RawSettings } from "../../model/settings";

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;

/** Settings that the honeyDue definition accepts. Tests take these and change what they are about. */
export const honeydueSettings: RawSettings = {
  stack: "honeydue",
  source: "stacks/Pulumi.honeydue.yaml",
  values: {
    operators: ["203.0.113.7/32"],
    cloudflareAccountId: "0123456789abcdef0123456789abcdef",
    cloudflareZoneId: "fedcba9876543210fedcba9876543210",
    images: {
      api: `git.honeydue.example/honeydue/api@${digest("a")}`,
      web: `git.honeydue.example/honeydue/web@${digest("b")}`,
      admin: `git.honeydue.example/honeydue/admin@${digest("c")}`,
      worker: `git.honeydue.example/honeydue/worker@${digest("d")}`,
    },
    registryUsername: "honeydue-pull",
    postgresHost: "pooler.db.example",
    postgresDirectHost: "direct.db.example",
    objectsHost: "s3.objects.example",
    smtpHost: "smtp.mail.example",
    smtpUser: "robot@honeydue.example",
  },
  secretNames: [
    "registryPassword",
    "postgresPassword",
    "objectsKeyId",
    "objectsKey",
    "apnsKey",
    "fcmCredentials",
    "smtpPassword",
    "sessionKey",
    "obsIngestToken",
    "snapshotsKeyId",
    "snapshotsKey",
  ],
};
