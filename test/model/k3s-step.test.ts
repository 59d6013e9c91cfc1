import { k3sStep } from "../../model/k3s-step";

test.each([
  ["v1.36.3+k3s1", "v1.36.4+k3s1", "patch"],
  ["v1.35.0+k3s1", "v1.35.0+k3s3", "patch"],
  ["v1.36.4-rc2+k3s1", "v1.36.4+k3s1", "patch"],
  ["v1.36.9+k3s1", "v1.36.10+k3s1", "patch"],
  ["v1.35.8+k3s1", "v1.36.0+k3s1", "minor"],
  ["v1.36.4+k3s1", "v1.36.4+k3s1", "same"],
])("%s to %s is allowed (%s)", (from, to, kind) => {
  expect(k3sStep(from, to)).toEqual({ allowed: true, kind });
});

test.each([
  ["v1.35.8+k3s1", "v1.37.1+k3s1", "skips v1.36", "v1.36.5+k3s1 or v1.36.4+k3s1"],
  ["v1.30.1+k3s1", "v1.36.4+k3s1", "skips v1.31", "Go to a release of v1.31 first"],
  ["v1.36.4+k3s1", "v1.36.3+k3s1", "v1.36.3+k3s1 is older than v1.36.4+k3s1", "restore a snapshot"],
  ["v1.36.0+k3s1", "v1.35.9+k3s1", "older"],
  ["v1.35.0+k3s3", "v1.35.0+k3s1", "older"],
  ["v1.36.10+k3s1", "v1.36.9+k3s1", "older"],
  ["v1.36.4+k3s1", "v1.36.4-rc9+k3s1", "older"],
  ["v1.36.4+k3s1", "v2.0.0+k3s1", "changes the major version"],
  ["v1.36.4+k3s1", "v1.36.4", '"v1.36.4" is no K3s release'],
  ["latest", "v1.36.4+k3s1", '"latest" is no K3s release'],
])("%s to %s is refused", (from, to, ...says) => {
  const step = k3sStep(from, to);
  expect(step.allowed).toBe(false);
  for (const text of says) expect(step).toMatchObject({ reason: expect.stringContaining(text) as string });
});
