import { createHash } from "node:crypto";
import { readBootstrapData, tokenHash, writeBootstrapData } from "../../../rehearsal/k3s/etcd/bootstrap-data";
import type { EtcdApi } from "../../../rehearsal/k3s/etcd/etcd-api";

/** A datastore that only keeps what it is given. */
function datastore() {
  const values = new Map<string, string>();
  const etcd = {
    put: (key: string, value: string) => Promise.resolve(void values.set(key, value)),
    list: (prefix: string) =>
      Promise.resolve([...values].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => ({ key, value }))),
  };
  return { values, etcd: etcd as unknown as EtcdApi };
}
const token = (password: string): string => `K10${"a".repeat(64)}::server:${password}`;
const files = { "/var/lib/rancher/k3s/server/tls/client-ca.key": "sentinel-7f3a" };

test("what the servers share is read back with the token, in whatever form it is written", async () => {
  const { etcd } = datastore();
  await writeBootstrapData(etcd, token("0123456789abcdef"), files);
  expect(await readBootstrapData(etcd, token("0123456789abcdef"))).toEqual(files);
  expect(await readBootstrapData(etcd, "0123456789abcdef")).toEqual(files);
});

test("it lies encrypted under a key that only tells a part of the password's hash", async () => {
  const { etcd, values } = datastore();
  await writeBootstrapData(etcd, token("0123456789abcdef"), files);
  const hash = createHash("sha256").update("0123456789abcdef").digest("hex").slice(0, 12);
  expect(tokenHash(token("0123456789abcdef"))).toBe(hash);
  expect([...values.keys()]).toEqual([`/bootstrap/${hash}`]);
  expect([...values.values()].join()).not.toContain("sentinel");
});

test("another token is refused; an empty datastore has nothing", async () => {
  const { etcd } = datastore();
  expect(await readBootstrapData(etcd, token("0123456789abcdef"))).toBeUndefined();
  await writeBootstrapData(etcd, token("0123456789abcdef"), files);
  await expect(readBootstrapData(etcd, token("fedcba9876543210"))).rejects.toThrow(
    "bootstrap data already found and encrypted with different token",
  );
});
