import { type PlatformDefinition, secret } from "../../model/definition";
import { CLOUDFLARE_IPV4, CLOUDFLARE_IPV6 } from "../../model/cloudflare-ranges";
import { doors } from "../../model/doors";
import { resolve } from "../../model/resolve";
import honeydue from "../../stacks/honeydue";
import { honeydueSettings } from "./honeydue.fixture";

const team = { team: "honeydue", emails: ["ops@honeydue.example"] };

const OVER_TAILSCALE = {
  kubernetesApi: "tailscale",
  tailnet: { name: "farm-example.ts.net", authKey: secret("tailscaleAuthKey") },
} as const;

const doorsOf = (edge: PlatformDefinition["edge"], settings: Readonly<Record<string, unknown>> = {}) => {
  const values = { ...honeydueSettings.values, ...settings };
  const ofTailnet = edge.operators?.tailnet === undefined ? [] : ["tailscaleAuthKey"];
  const secretNames = [...honeydueSettings.secretNames, ...ofTailnet];
  const { platform, problems } = resolve(
    { ...honeydue, edge: { operators: team, ...edge } },
    { ...honeydueSettings, values, secretNames },
  );
  if (problems) throw new Error(JSON.stringify(problems));
  return doors(platform).map(({ role, port, from, cidrs }) => `${role}:${port} ${from} ${cidrs.length}`);
};

const RANGES = CLOUDFLARE_IPV4.length + CLOUDFLARE_IPV6.length;

test("a proxied platform is open on 443 to Cloudflare's ranges, and to operators for the Kubernetes API", () => {
  expect(doorsOf({ kind: "proxied", tls: "strict" })).toEqual([
    `server:443 cloudflare ${RANGES}`,
    "server:6443 operators 1",
    "agent:6443 operators 1",
  ]);
  expect(doorsOf({ kind: "proxied", tls: "strict", port: 8443 })[0]).toBe(`server:8443 cloudflare ${RANGES}`);
});

test("a tunnel platform whose API goes through Access or Tailscale has no door at all", () => {
  expect(doorsOf({ kind: "tunnel", operators: { ...team, kubernetesApi: "access" } })).toEqual([]);
  expect(doorsOf({ kind: "tunnel", operators: { ...team, ...OVER_TAILSCALE } })).toEqual([]);
});

test("a tunnel platform that is operated by addresses has the one door for them", () => {
  expect(doorsOf({ kind: "tunnel", operators: team })).toEqual(["server:6443 operators 1", "agent:6443 operators 1"]);
});

test("with a port of its own the emergency serves there, for it stands in visitors' URLs", () => {
  expect(doorsOf({ kind: "proxied", tls: "strict", port: 8443 }, { emergency: "direct" }).slice(0, 2)).toEqual([
    "server:8443 everybody 2",
    "server:80 everybody 2",
  ]);
});

test("the emergency opens 80 and 443 to everybody, whatever the edge, and gives operators a way without Cloudflare", () => {
  const everybody = [
    "server:443 everybody 2",
    "server:80 everybody 2",
    "server:6443 operators 1",
    "agent:6443 operators 1",
  ];
  expect(doorsOf({ kind: "proxied", tls: "strict" }, { emergency: "direct" })).toEqual(everybody);
  expect(doorsOf({ kind: "tunnel", operators: { ...team, kubernetesApi: "access" } }, { emergency: "direct" })).toEqual(
    everybody,
  );
});

test("the emergency opens nothing for operators who come over Tailscale: Cloudflare is not on their way", () => {
  expect(doorsOf({ kind: "tunnel", operators: { ...team, ...OVER_TAILSCALE } }, { emergency: "direct" })).toEqual([
    "server:443 everybody 2",
    "server:80 everybody 2",
  ]);
});
