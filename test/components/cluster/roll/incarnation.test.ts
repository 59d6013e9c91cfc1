import { incarnationOf, type Whereabouts } from "../../../../components/cluster/roll/incarnation";

const about = (more: Partial<Whereabouts> = {}): Whereabouts => ({
  installation: "00112233",
  hostname: "honeydue-c",
  servers: new Map(),
  nameTaken: false,
  consented: false,
  word: "k3x",
  ...more,
});
const there = (label?: string) =>
  new Map([
    ["honeydue-a", { labels: {} }],
    ["honeydue-c", { labels: label === undefined ? {} : { incarnation: label } }],
  ]);
const others = new Map([["honeydue-a", { labels: {} }]]);

describe("the incarnation of a node", () => {
  const first = incarnationOf(about());
  const second = incarnationOf(about({ servers: others }));

  test("stays what its server's label says", () => {
    expect(incarnationOf(about({ servers: there(first.value) }))).toEqual({
      value: first.value,
      trigger: first.value,
      gone: false,
    });
    expect(incarnationOf(about({ servers: there(second.value), word: "later" })).trigger).toBe(second.value);
  });

  test("becomes another one when its server is gone and others are there", () => {
    expect(second).toMatchObject({ gone: true, trigger: second.value });
    expect(second.value).not.toBe(first.value);
    expect(second.value).toMatch(/^k3x-[0-9a-f]{8}$/);
  });

  test("never asks to replace a server that lives: not for a label that somebody removed, edited, or took from another server", () => {
    const elsewhere = incarnationOf(
      about({ hostname: "honeydue-a", servers: new Map([["honeydue-b", { labels: {} }]]) }),
    );
    for (const label of [undefined, "", "k3x", "k3x-00000000", elsewhere.value])
      expect([label, incarnationOf(about({ servers: there(label) })).trigger]).toEqual([label, null]);
    // It lost the labels by which it is found.
    expect(incarnationOf(about({ servers: others, nameTaken: true }))).toMatchObject({
      trigger: null,
      gone: false,
    });
  });

  test("is the same at every try of a first creation, and when all servers are lost, until the operator says that they may be made anew", () => {
    expect(incarnationOf(about({ word: "other" }))).toEqual(first);
    expect(first.gone).toBe(false);
    const consented = incarnationOf(about({ consented: true }));
    expect([consented.gone, consented.trigger === first.trigger]).toEqual([true, false]);
  });
});
