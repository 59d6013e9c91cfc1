import { image, parseImage } from "../../model/image-reference";
import { IMAGES } from "../../model/images";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;

test.each([
  ["redis", "redis", undefined, undefined],
  ["redis:7.4-alpine", "redis", "7.4-alpine", undefined],
  [`registry.example:5000/team/app:1.0@${digest}`, "registry.example:5000/team/app", "1.0", digest],
  [`localhost/app@${digest}`, "localhost/app", undefined, digest],
])("reads %s", (text, repository, tag, sum) => {
  expect(parseImage(text)).toEqual({ repository, tag, digest: sum, reference: text });
});

test.each([
  "",
  "Redis",
  "redis:",
  "redis@",
  "redis@sha256:abc",
  "a b",
  "team//app",
  "registry.example:port/app",
  ":5000/app",
])("%j is no image", (text) => {
  expect(parseImage(text)).toBeUndefined();
});

test("Trivet's own images are all pinned by digest", () => {
  for (const reference of Object.values(IMAGES)) expect(image(reference).reference).toBe(reference);
});
