import { credentialsOf, KubernetesApi } from "../kubernetes";
import { reachApi } from "../api-doors";
import { EXIT, Refusal } from "../refusal";
import type { Outputs, Stack } from "../stack";
import { isReady, judge, renderStatus, type StatusReport } from "../status";
import type { Terminal } from "../terminal";

/** `trivet status`: looks at everything, changes nothing. */
export async function status(stack: Stack, terminal: Terminal, { json }: { json?: boolean }): Promise<number> {
  const report = await observe(stack, new Date());
  terminal.result(
    json ? JSON.stringify(report, undefined, 2) : renderStatus(report, (...args) => terminal.paint(...args)),
  );
  return exitCode(report);
}

/** A cluster that cannot be asked is neither well nor ill. */
export const exitCode = ({ attention, unknown }: StatusReport): number =>
  unknown.length > 0 ? EXIT.usage : attention.length > 0 ? EXIT.problems : EXIT.well;

async function observe(stack: Stack, now: Date): Promise<StatusReport> {
  const [platform, outputs, state] = await Promise.all([stack.platform(), stack.outputs(), stack.state()]);
  const { kubeconfig } = whatIsUp(stack, outputs);
  const credentials = credentialsOf(kubeconfig);
  const places = await reachApi(platform, outputs);
  const servers = platform.cluster.servers.flatMap(({ name }) => {
    const place = places[name];
    return place === undefined ? [] : [{ name, api: new KubernetesApi(place, credentials) }];
  });
  const answers = Object.fromEntries(
    await Promise.all(servers.map(async ({ name, api }) => [name, await api.readiness()] as const)),
  );
  const asked = servers.find(({ name }) => answers[name]?.ready)?.api;
  const [nodes, snapshotFiles] = await Promise.all([asked?.nodes(), asked?.snapshotFiles()]);
  // An agent answers only while it boots; whether it is needed is known by now.
  const booting = platform.cluster.agents.flatMap(({ name, hostname }) => {
    const place = places[name];
    const there = nodes?.some((node) => node.metadata?.name === hostname && isReady(node)) === true;
    return place === undefined || there ? [] : [{ name, api: new KubernetesApi(place, credentials, "agent") }];
  });
  const boots = Object.fromEntries(
    await Promise.all(booting.map(async ({ name, api }) => [name, await api.readiness()] as const)),
  );
  return judge({
    now,
    stack: stack.name,
    platform,
    state,
    generation: outputs.generation,
    addresses: Object.fromEntries(Object.entries(places).map(([name, { called }]) => [name, called])),
    answers,
    boots,
    nodes,
    snapshotFiles,
    clientCertificates: {
      "the administrator": credentials.certificatePem,
      ...(outputs.ciKubeconfig === undefined ? {} : { CI: credentialsOf(outputs.ciKubeconfig).certificatePem }),
    },
  });
}

/** What a stack that was brought up once has. */
export function whatIsUp(
  stack: Stack,
  { nodeAddresses, kubeconfig }: Outputs,
): { addresses: Readonly<Record<string, string>>; kubeconfig: string } {
  if (nodeAddresses !== undefined && kubeconfig !== undefined) return { addresses: nodeAddresses, kubeconfig };
  throw new Refusal(`The stack ${stack.name} was never brought up completely. Do: pulumi up.`, EXIT.usage);
}
