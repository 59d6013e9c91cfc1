import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expand } from "../../../rehearsal/pods/container";
import { type Container, fieldOf, type Pod } from "../../../rehearsal/pods/pod";
import { ask, followProbes } from "../../../rehearsal/pods/probes";

test.each([
  ["--address=$(SERVER_ADDRESS):9180", "--address=10.0.1.11:9180"],
  ["$(SERVER_ADDRESS)$(SERVER_ADDRESS)", "10.0.1.1110.0.1.11"],
  ["$(UNKNOWN) stays", "$(UNKNOWN) stays"],
  ["$$(SERVER_ADDRESS)", "$(SERVER_ADDRESS)"],
  ["^/v1$", "^/v1$"],
])("an argument %s becomes %s", (argument, expected) => {
  expect(expand(argument, { SERVER_ADDRESS: "10.0.1.11" })).toBe(expected);
});

test("a pod may ask for its own names and addresses, and an unknown field is refused by its name", () => {
  const pod = {
    metadata: { name: "one", namespace: "apps", uid: "7", labels: { "app.kubernetes.io/name": "api" } },
    spec: { nodeName: "a", containers: [] },
  } as unknown as Pod;
  const addresses = { podIP: "10.42.0.254", hostIP: "10.0.1.11" };
  expect(fieldOf(pod, "status.hostIP", addresses)).toBe("10.0.1.11");
  expect(fieldOf(pod, "metadata.labels['app.kubernetes.io/name']", addresses)).toBe("api");
  expect(() => fieldOf(pod, "status.mood", addresses)).toThrow("the field status.mood is not known");
});

describe("probes", () => {
  const answers: number[] = [];
  let server: Server;
  let container: Container;

  beforeAll(async () => {
    server = createServer((request, response) => {
      response.writeHead(request.url === "/scripted" ? (answers.shift() ?? 200) : 404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.64.0.12", resolve));
    const containerPort = (server.address() as AddressInfo).port;
    container = { name: "main", image: "main:1", ports: [{ name: "web", containerPort }] };
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const probe = { httpGet: { path: "/scripted", port: "web" }, periodSeconds: 0.02 };

  test("an answer of 400 and above, and nobody at the port, are failures", async () => {
    expect(await ask({ httpGet: { path: "/other", port: "web" } }, container, "127.64.0.12")).toBe("HTTP 404");
    expect(await ask({ httpGet: { path: "/scripted", port: "web" } }, container, "127.64.0.12")).toBeUndefined();
    expect(await ask({ tcpSocket: { port: 1 } }, container, "127.64.0.12")).toContain("ECONNREFUSED");
  });

  test("readiness changes only after as many answers in a row as the thresholds ask for", async () => {
    answers.splice(0, answers.length, 200, 503, 200, 503, 503, 200, 200);
    const heard: boolean[] = [];
    const ended = new AbortController();
    const readinessProbe = { ...probe, failureThreshold: 2 };
    await followProbes({ ...container, readinessProbe }, "127.64.0.12", ended.signal, {
      started: () => undefined,
      dead: () => undefined,
      ready: (isReady) => {
        if (heard.at(-1) !== isReady) heard.push(isReady);
        if (answers.length === 0) ended.abort();
      },
    });
    expect(heard).toEqual([true, false, true]);
  });

  test("a container that never starts, and one that no longer lives, are dead", async () => {
    answers.splice(0, answers.length, 503, 503, 503);
    const heard: string[] = [];
    const events = {
      started: () => heard.push("started"),
      ready: () => heard.push("ready"),
      dead: (reason: string) => heard.push(reason),
    };
    const { signal } = new AbortController();
    await followProbes({ ...container, startupProbe: probe }, "127.64.0.12", signal, events);
    expect(heard).toEqual(["startup probe failed: HTTP 503"]);

    answers.splice(0, answers.length, 200, 503, 503, 503);
    await followProbes({ ...container, livenessProbe: probe }, "127.64.0.12", signal, events);
    expect(heard.slice(1)).toEqual(["started", "ready", "liveness probe failed: HTTP 503"]);
  });
});
