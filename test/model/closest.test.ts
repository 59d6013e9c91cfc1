import { closest } from "../../model/closest";

test.each([
  ["nbg2", ["fsn1", "nbg1", "hel1"], "nbg1"],
  ["tunel", ["tunnel", "proxied"], "tunnel"],
  ["generaton", ["generation", "operators"], "generation"],
  ["cahce", ["cache", "queue"], "cache"],
  ["CACHE", ["cache", "queue"], "cache"],
])("%s probably means one of %j", (text, candidates, meant) => {
  expect(closest(text, candidates)).toBe(meant);
});

test("no guess is better than a wild one", () => {
  expect(closest("mars", ["fsn1", "nbg1", "hel1"])).toBeUndefined();
  expect(closest("database", ["cache", "queue"])).toBeUndefined();
  expect(closest("x", [])).toBeUndefined();
});

test("the nearest of several wins, the first of equals", () => {
  expect(closest("workers", ["worked", "worker"])).toBe("worker");
  expect(closest("cx3", ["cx23", "cx33"])).toBe("cx23");
});
