import { restoreProblems } from "../../model/restore";

const restore = "etcd-snapshot-honeydue-a-1790000000";

test("a snapshot is not restored into a new generation", () => {
  expect(restoreProblems({ restore, generation: 3 }, 2)).toEqual([
    expect.objectContaining({
      code: "RS003",
      path: "trivet:restore",
      action: "restore with trivet:generation 2, or raise the generation without a restore",
    }),
  ]);
});

test("it is into the running one, into a cluster of which nothing is left, and a new generation may come without", () => {
  expect(restoreProblems({ restore, generation: 2 }, 2)).toEqual([]);
  expect(restoreProblems({ restore, generation: 2 }, undefined)).toEqual([]);
  expect(restoreProblems({ restore: undefined, generation: 3 }, 2)).toEqual([]);
});
