/**
 * Started by traefik.test.ts; in a private network: honeyDue with the real Traefik, asked as visitors, operators and strangers would. Prints
 * what they were answered as JSON.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { WhoamiAnswer } from "../../../rehearsal/pods";
import { NO_STRAGGLERS, Rehearsal, REHEARSAL_TOOLS } from "../../../rehearsal/rehearse/rehearsal";
import { readStack } from "../../../rehearsal/rehearse/stack";
import { ensureTools } from "../../../rehearsal/toolchain";
import { CLOUDFLARE_ADDRESSES, OPERATOR_ADDRESS, STRANGER_ADDRESS } from "../../../rehearsal/wire/addresses";
import { isInPrivateNetwork, runInPrivateNetwork } from "../../../rehearsal/wire/private-network";

const PROJECT_DIRECTORY = join(__dirname, "..", "..", "..");
const API = "https://api.honeydue.example/v1/things?page=2";
const FORGED = "6.6.6.6";
const SETTLE_MILLISECONDS = 60_000;

/** A TLS request straight to a server, as anybody may try; no certificate is shown, none is checked. */
const straight = (host: string, localAddress: string): Promise<string> =>
  new Promise((resolve) => {
    const asked = request({
      host,
      port: 443,
      servername: "api.honeydue.example",
      headers: { host: "api.honeydue.example" },
      rejectUnauthorized: false,
      agent: false,
      timeout: 1_500,
      localAddress,
    });
    asked.once("response", (response) => {
      response.resume();
      resolve(`HTTP ${response.statusCode}`);
    });
    asked.once("timeout", () => asked.destroy(new Error("no answer")));
    asked.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    asked.end();
  });

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "trivet-traefik-"));
  const { traefik, ...tools } = await ensureTools([...REHEARSAL_TOOLS, "traefik"]);
  const rehearsal = await Rehearsal.open({
    stack: readStack(PROJECT_DIRECTORY, "honeydue"),
    tools,
    traefik,
    projectDirectory: PROJECT_DIRECTORY,
    directory,
    environment: NO_STRAGGLERS,
    onMachineEvent: (event) => {
      if (event.type === "console line" && event.line.startsWith("kubelet: "))
        console.error(event.machine.name, event.line);
    },
  });
  try {
    const up = await rehearsal.run("up");
    if (!up.ok) throw new Error(up.errors.join("\n") || up.output);
    const deadline = performance.now() + SETTLE_MILLISECONDS;
    let summary = await rehearsal.inspect({ setup: 0, total: 0 });
    while (!summary.ok && performance.now() < deadline) {
      await delay(500);
      summary = await rehearsal.inspect({ setup: 0, total: 0 });
    }
    const headers = {
      "x-forwarded-for": FORGED,
      "x-real-ip": FORGED,
      "cf-connecting-ip": FORGED,
      "x-forwarded-host": "evil.example",
    };
    const forged = await rehearsal.visit(API, { from: STRANGER_ADDRESS, headers });
    const admin = (from: string): Promise<number> =>
      rehearsal.visit("https://admin.honeydue.example/", { from }).then(({ status }) => status);
    const [server = ""] = rehearsal.nodeAddresses;
    const seen: Record<string, unknown> = {
      summary: {
        ok: summary.ok,
        problems: summary.problems,
        routes: summary.routes.map(({ host, ok, problems, path }) => ({ host, ok, problems, last: path.at(-1) })),
        standIns: summary.standIns,
        pods: summary.pods,
        seconds: up.seconds,
      },
      forged: {
        status: forged.status,
        headers: forged.headers,
        body: JSON.parse(forged.body || "null") as WhoamiAnswer,
      },
      admin: { operator: await admin(OPERATOR_ADDRESS), stranger: await admin(STRANGER_ADDRESS) },
      straight: {
        stranger: await straight(server, STRANGER_ADDRESS),
        cloudflare: await straight(server, CLOUDFLARE_ADDRESSES[0]!),
      },
    };
    for (const firewall of rehearsal.hetzner.project.firewalls.values())
      for (const rule of firewall.rules) if (rule.port === "443") rule.source_ips.push("0.0.0.0/0");
    await delay(500);
    (seen["straight"] as Record<string, string>)["strangerThroughAnOpenFirewall"] = await straight(
      server,
      STRANGER_ADDRESS,
    );
    console.log(JSON.stringify(seen, null, 2));
  } finally {
    await rehearsal.close();
    rmSync(directory, { recursive: true, force: true });
    setTimeout(() => console.error("still open:", process.getActiveResourcesInfo()), 2_000).unref();
  }
}

// Started in the open, it goes in first.
if (isInPrivateNetwork()) void main();
else void runInPrivateNetwork().then((code) => (process.exitCode = code));
