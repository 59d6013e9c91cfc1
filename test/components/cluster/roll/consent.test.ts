import { cloudApi } from "../../../../components/cloud-api";
import { checkConsent, type Consent, missingConsent } from "../../../../components/cluster/roll/consent";
import { systemClock } from "../../../../components/cluster/roll/clock";
import { HetznerServers } from "../../../../components/cluster/roll/hetzner-servers";
import { timeLimits } from "../../../../components/cluster/roll/limits";

const NONE: Consent = { rebuild: undefined, restore: undefined };
const server = (labels: Record<string, string> = {}) => ({ labels: { generation: "1", role: "server", ...labels } });
const missing = (
  cluster: { generation?: number; restore?: string },
  consent: Partial<Consent> = {},
  servers = [server(), server()],
) => missingConsent({ generation: 1, restore: undefined, ...cluster }, { ...NONE, ...consent }, servers);

describe("a run that would make every node anew", () => {
  test("needs the operator's word for a new generation, and for exactly that one", () => {
    expect(missing({})).toBeUndefined();
    expect(missing({ generation: 2 })).toContain("generation 1 -> 2 makes every node anew");
    expect(missing({ generation: 2 }, { rebuild: "1" })).toContain("TRIVET_REBUILD=2");
    expect(missing({ generation: 2 }, { rebuild: "2" })).toBeUndefined();
    // Half way through: some servers are of the new one already.
    expect(missing({ generation: 2 }, {}, [server({ generation: "2" }), server()])).toContain("generation 1 -> 2");
    expect(missing({ generation: 2 }, {}, [server({ generation: "2" })])).toBeUndefined();
  });

  test("never goes back to an older generation", () => {
    expect(missing({}, { rebuild: "1" }, [server({ generation: "2" })])).toContain(
      "the cluster is of generation 2, and the settings say 1",
    );
  });

  test("does not restore into another generation, whose servers could not read the snapshot", () => {
    const raised = { generation: 2, restore: "snap" };
    expect(missing(raised, { rebuild: "2", restore: "snap" })).toContain(
      "RS003: restore snap: the servers are of generation 1 and the settings ask for 2",
    );
    expect(missing(raised, { restore: "snap" }, [server({ generation: "2" })])).toBeUndefined();
  });

  test("needs the word for a restore until every server has begun with that snapshot; agents do not count", () => {
    expect(missing({ restore: "snap" })).toContain("restore snap puts the whole cluster back");
    expect(missing({ restore: "snap" }, { restore: "snap" })).toBeUndefined();
    const agent = server({ role: "agent" });
    expect(missing({ restore: "snap" }, {}, [server({ restore: "snap" }), agent])).toBeUndefined();
    // Taking the setting away asks nobody.
    expect(missing({}, {}, [server({ restore: "snap" })])).toBeUndefined();
  });
});

describe("a platform without any server", () => {
  const check = (created: string | undefined, consent = NONE): Promise<void> => {
    const api = cloudApi({ baseUrl: "http://127.0.0.1:1", token: "unused" });
    api.get = <T>(path: string) =>
      Promise.resolve(
        (path.startsWith("/servers")
          ? { servers: [] }
          : { primary_ips: created === undefined ? [] : [{ created }] }) as T,
      );
    return checkConsent(
      { generation: 1, restore: undefined },
      consent,
      new HetznerServers(api, systemClock, timeLimits({})),
      "i",
    );
  };

  test("is a first creation while its addresses are young or missing", async () => {
    await check(undefined);
    await check(new Date().toISOString());
  });

  test("has lost them when its addresses are old, and is not begun anew without a word", async () => {
    await expect(check("2026-01-01T00:00:00Z")).rejects.toThrow("every server of this platform is gone");
    await check("2026-01-01T00:00:00Z", { rebuild: "1", restore: undefined });
  });
});
