import { parse } from "yaml";
import { doorAt } from "../../../components/cluster/api-doors";
import {
  ADVICE,
  type Answer,
  answeringServer,
  kubeconfig,
  type SearchArgs,
} from "../../../components/cluster/kubernetes-api";

const SERVERS = ["a", "b", "c"].map((name, index) => ({
  name: `honeydue-${name}`,
  door: doorAt(name, `203.0.113.${11 + index}`),
}));
const ready: Answer = { ready: true };
const away: Answer = { ready: false, reason: "connect ECONNREFUSED" };

/** Runs a search against servers that are ready from a given second on, without waiting. */
async function search(
  readyFrom: readonly (number | undefined)[],
  args: Partial<SearchArgs> = {},
): Promise<{ address: string; seconds: number; lines: string[] }> {
  let seconds = 0;
  const lines: string[] = [];
  const { host: address } = await answeringServer({
    servers: SERVERS,
    ask: (asked) => {
      const from = readyFrom[SERVERS.findIndex((server) => server.door === asked)];
      return Promise.resolve(from !== undefined && seconds >= from ? ready : away);
    },
    deadlineSeconds: 600,
    graceSeconds: 5,
    periodSeconds: 2,
    progress: (line) => lines.push(line),
    advice: ADVICE.addresses,
    clock: {
      now: () => seconds,
      sleep: (pause) => {
        seconds += pause;
        return Promise.resolve();
      },
    },
    ...args,
  });
  return { address, seconds, lines };
}

describe("the search for a server that answers", () => {
  test("takes the first at once when all answer, so that two runs choose the same", async () => {
    expect(await search([0, 0, 0])).toEqual({ address: "203.0.113.11", seconds: 0, lines: [] });
  });

  test("waits for a cluster that boots, and says for whom and why", async () => {
    const { address, seconds, lines } = await search([60, 70, 70]);
    expect([address, seconds]).toEqual(["203.0.113.11", 60]);
    expect(lines[1]).toBe(
      "waiting for the Kubernetes API, 2 s: honeydue-a (203.0.113.11): connect ECONNREFUSED; " +
        "honeydue-b (203.0.113.12): connect ECONNREFUSED; honeydue-c (203.0.113.13): connect ECONNREFUSED",
    );
  });

  test("gives an earlier server a moment more, so that it is chosen again next time", async () => {
    expect((await search([4, 0, 0])).address).toBe("203.0.113.11");
  });

  test("goes on with the next when the first is lost", async () => {
    expect(await search([undefined, 0, 0])).toMatchObject({ address: "203.0.113.12", seconds: 6 });
  });

  test("ends with every server's reason when none answers in time", async () => {
    await expect(search([undefined, undefined, undefined])).rejects.toThrow(
      /within 600 s\. honeydue-a \(203\.0\.113\.11\): connect ECONNREFUSED; .*trivet:operators/,
    );
  });

  test("asks once in a preview, and settles for the first when none answers", async () => {
    expect(await search([undefined, undefined, undefined], { deadlineSeconds: 0 })).toEqual({
      address: "203.0.113.11",
      seconds: 0,
      lines: [],
    });
    expect((await search([undefined, 0, 0], { deadlineSeconds: 0 })).address).toBe("203.0.113.12");
  });
});

test("the kubeconfig of a server behind Access leads to this computer, and checks the certificate under the name of the door", () => {
  const door = { node: "b", host: "127.0.0.1", port: 16_444, serverName: "k8s-b.honeydue.example" };
  const { clusters } = parse(
    kubeconfig("honeydue", door, { authorityPem: "CA", certificatePem: "CERT", privateKeyPem: "KEY" }),
  ) as { clusters: readonly { cluster: object }[] };
  expect(clusters[0]?.cluster).toMatchObject({
    server: "https://127.0.0.1:16444",
    "tls-server-name": "k8s-b.honeydue.example",
  });
});

test("the kubeconfig names one cluster, one user and one server", () => {
  const config = parse(
    kubeconfig("honeydue", doorAt("b", "203.0.113.12"), {
      authorityPem: "CA",
      certificatePem: "CERT",
      privateKeyPem: "KEY",
    }),
  ) as Record<string, unknown>;
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  expect(config).toEqual({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "honeydue",
        cluster: { server: "https://203.0.113.12:6443", "certificate-authority-data": base64("CA") },
      },
    ],
    users: [
      { name: "honeydue", user: { "client-certificate-data": base64("CERT"), "client-key-data": base64("KEY") } },
    ],
    contexts: [{ name: "honeydue", context: { cluster: "honeydue", user: "honeydue" } }],
    "current-context": "honeydue",
  });
});
