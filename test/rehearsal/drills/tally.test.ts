import { newTally, tallied } from "../../../rehearsal/drills/watch/tally";

const never = new AbortController().signal;

/** Fails so many times, then answers. */
function failing(times: number): () => Promise<string> {
  return async () => {
    if (times-- > 0) throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    return "answer";
  };
}

describe("a client that counts", () => {
  test("counts a request that is answered at once", async () => {
    const tally = newTally();
    expect(await tallied(tally, never, failing(0))).toBe("answer");
    expect(tally).toMatchObject({ requests: 1, retried: 0, failed: 0, reasons: {} });
  });

  test("counts one that a retry mends once, with the reasons of its attempts", async () => {
    const tally = newTally();
    expect(await tallied(tally, never, failing(3))).toBe("answer");
    expect(tally).toMatchObject({ requests: 1, retried: 1, failed: 0, reasons: { ECONNREFUSED: 3 } });
  });

  test("gives one up after two seconds, and counts it as failed", async () => {
    const tally = newTally();
    expect(await tallied(tally, never, failing(Number.POSITIVE_INFINITY))).toBeUndefined();
    expect(tally).toMatchObject({ requests: 1, retried: 0, failed: 1 });
  });

  test("does not wait for ever for one attempt: a silent server is asked again", async () => {
    const tally = newTally();
    let attempts = 0;
    const answer = await tallied(tally, never, (deadline) =>
      attempts++ === 0
        ? new Promise<string>((_, reject) => deadline.addEventListener("abort", () => reject(deadline.reason as Error)))
        : Promise.resolve("answer"),
    );
    expect(answer).toBe("answer");
    expect(tally).toMatchObject({ requests: 1, retried: 1, failed: 0, reasons: { "no answer in time": 1 } });
  });

  test("does not count what was under way when the watch ended", async () => {
    const tally = newTally();
    const ended = new AbortController();
    const request = tallied(tally, ended.signal, async () => {
      ended.abort();
      throw new Error("aborted");
    });
    expect(await request).toBeUndefined();
    expect(tally.requests).toBe(0);
  });
});
