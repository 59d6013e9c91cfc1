import { ofKind, subjects, workloadsIn } from "../../../rules/platforms.fixture";

const { manifests } = subjects[0]![1];
const pods = (name: string) => workloadsIn(manifests).find((candidate) => candidate.name === name)!;
const config = (name: string): string[] =>
  (ofKind(manifests, "ConfigMap").find(({ metadata }) => metadata.name === name)!["data"] as Record<string, string>)[
    "redis.conf"
  ]!.split("\n");

test("the cache evicts at 256 MiB and writes nothing to disk", () => {
  expect(config("redis-cache")).toEqual(
    expect.arrayContaining(["maxmemory 256mb", "maxmemory-policy allkeys-lru", 'save ""', "appendonly no"]),
  );
  const { kind, spec, pod } = pods("redis-cache");
  expect([kind, spec["strategy"]]).toEqual(["Deployment", { type: "Recreate" }]);
  expect(pod.containers[0]!.resources?.limits?.["memory"]).toBe("384Mi");
});

test("the queue refuses writes rather than lose a job, and keeps them on a volume", () => {
  expect(config("redis-queue")).toEqual(
    expect.arrayContaining([
      "maxmemory 128mb",
      "maxmemory-policy noeviction",
      "appendonly yes",
      "appendfsync everysec",
    ]),
  );
  const { kind, spec, pod } = pods("redis-queue");
  expect(kind).toBe("StatefulSet");
  expect(spec["volumeClaimTemplates"]).toMatchObject([
    {
      metadata: { name: "data" },
      spec: { storageClassName: "local-path", resources: { requests: { storage: "512Mi" } } },
    },
  ]);
  expect(spec["persistentVolumeClaimRetentionPolicy"]).toEqual({ whenDeleted: "Retain", whenScaled: "Retain" });
  expect(pod.containers[0]!.resources?.limits?.["memory"]).toBe("256Mi");
});

test("what is kept stays on the servers: an agent takes its disk along when its pool shrinks", () => {
  const selector = (name: string) => (pods(name).pod as unknown as { nodeSelector?: object }).nodeSelector;
  expect(selector("redis-queue")).toEqual({ "node-role.kubernetes.io/control-plane": "true" });
  expect(selector("redis-cache")).toBeUndefined();
});

test("the password is in a file that the configuration includes, first of all", () => {
  for (const name of ["redis-cache", "redis-queue"]) {
    expect(config(name)[0]).toBe("include /run/secrets/redis/auth.conf");
    expect(config(name).join("\n")).not.toContain("requirepass");
    expect(pods(name).pod.containers[0]!.command).toEqual(["redis-server", "/etc/redis/redis.conf"]);
  }
});

test("only a true answer counts as ready; only a dead socket is a reason to kill", () => {
  const { readinessProbe, livenessProbe } = pods("redis-queue").pod.containers[0]!;
  expect(readinessProbe?.exec?.command.at(-1)).toBe(
    'REDISCLI_AUTH="$(cat /run/secrets/redis/password)" redis-cli -h 127.0.0.1 ping | grep -q PONG',
  );
  expect(livenessProbe?.tcpSocket).toEqual({ port: "redis" });
});
