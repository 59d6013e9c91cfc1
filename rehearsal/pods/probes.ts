import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Container, Probe } from "./pod";

const DEFAULTS = {
  periodSeconds: 10,
  timeoutSeconds: 1,
  successThreshold: 1,
  failureThreshold: 3,
  initialDelaySeconds: 0,
};

export interface ProbeEvents {
  started(): void;
  ready(isReady: boolean): void;
  /** Startup or liveness failed for good: the container is to be restarted. */
  dead(reason: string): void;
}

/** Asks a container as a kubelet does, until the signal aborts. */
export async function followProbes(
  container: Container,
  address: string,
  signal: AbortSignal,
  events: ProbeEvents,
): Promise<void> {
  const { startupProbe, readinessProbe, livenessProbe } = container;
  const run = (probe: Probe, onVerdict: (succeeded: boolean, reason: string) => "go on" | "done"): Promise<void> =>
    repeat(probe, container, address, signal, onVerdict);
  if (startupProbe) {
    let failed = false;
    await run(startupProbe, (succeeded, reason) => {
      if (!succeeded) events.dead(`startup probe failed: ${reason}`);
      failed = !succeeded;
      return "done";
    });
    if (failed) return;
  }
  if (signal.aborted) return;
  events.started();
  if (!readinessProbe) events.ready(true);
  await Promise.all([
    readinessProbe &&
      run(readinessProbe, (succeeded) => {
        events.ready(succeeded);
        return "go on";
      }),
    livenessProbe &&
      run(livenessProbe, (succeeded, reason) => {
        if (succeeded) return "go on";
        events.dead(`liveness probe failed: ${reason}`);
        return "done";
      }),
  ]);
}

/** A verdict comes only after as many equal answers in a row as the thresholds ask for. */
async function repeat(
  probe: Probe,
  container: Container,
  address: string,
  signal: AbortSignal,
  onVerdict: (succeeded: boolean, reason: string) => "go on" | "done",
): Promise<void> {
  const { periodSeconds, initialDelaySeconds, successThreshold, failureThreshold } = { ...DEFAULTS, ...probe };
  let streak = 0;
  let last: boolean | undefined;
  await delay(initialDelaySeconds * 1000, undefined, { signal }).catch(() => undefined);
  while (!signal.aborted) {
    const problem = await ask(probe, container, address);
    const succeeded = problem === undefined;
    streak = succeeded === last ? streak + 1 : 1;
    last = succeeded;
    if (signal.aborted) return;
    const isVerdict = streak >= (succeeded ? successThreshold : failureThreshold);
    if (isVerdict && onVerdict(succeeded, problem ?? "") === "done") return;
    await delay(periodSeconds * 1000, undefined, { signal }).catch(() => undefined);
  }
}

/** What is wrong, or undefined where the probe succeeds. */
export async function ask(probe: Probe, container: Container, address: string): Promise<string | undefined> {
  const timeout = (probe.timeoutSeconds ?? DEFAULTS.timeoutSeconds) * 1000;
  const portOf = (port: number | string): number =>
    typeof port === "number" ? port : (container.ports?.find(({ name }) => name === port)?.containerPort ?? 0);
  if (probe.httpGet) {
    const { path = "/", port, host, scheme, httpHeaders = [] } = probe.httpGet;
    const send = scheme === "HTTPS" ? httpsRequest : httpRequest;
    return await new Promise((resolve) => {
      const asked = send({
        host: host ?? address,
        port: portOf(port),
        path,
        timeout,
        agent: false,
        rejectUnauthorized: false,
        headers: {
          "user-agent": "kube-probe/1.36",
          ...Object.fromEntries(httpHeaders.map(({ name, value }) => [name, value])),
        },
      });
      asked.once("response", (response) => {
        response.resume();
        const { statusCode = 0 } = response;
        resolve(statusCode >= 200 && statusCode < 400 ? undefined : `HTTP ${statusCode}`);
      });
      asked.once("timeout", () => asked.destroy(new Error(`no answer within ${timeout} ms`)));
      asked.once("error", (error) => resolve(error.message));
      asked.end();
    });
  }
  const target = probe.tcpSocket ?? probe.grpc;
  if (target)
    return await new Promise((resolve) => {
      const socket = connect({ host: address, port: portOf(target.port), timeout });
      socket.once("connect", () => resolve((socket.destroy(), undefined)));
      socket.once("timeout", () => socket.destroy(new Error(`no connection within ${timeout} ms`)));
      socket.once("error", (error) => resolve(error.message));
    });
  // A command has nothing to run in: no image is here. It counts as well.
  return undefined;
}
