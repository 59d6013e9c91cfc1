import { edgePicture } from "../../model/edge-picture";
import { referencePlatform } from "./platforms.fixture";

const arrows = (picture: string): string[] => picture.split("\n").filter((line) => line.includes("-->"));

test("a proxied edge leads from the zone through the firewall to Traefik, and what is guarded past all three", () => {
  const drawn = edgePicture(referencePlatform("farm"));
  expect(arrows(drawn)).toEqual(
    expect.arrayContaining([
      '  zone -->|"443, with our client certificate"| firewall',
      '  firewall -->|"443"| traefik',
      '  traefik -->|"farm.example/api/v1/ndvi"| service_ndvi',
      '  operators -->|"HTTPS"| access',
      '  operatorsConnectors -->|"grafana.farm.example"| service_grafana',
      '  zone -->|"www.farm.example: 301 to farm.example"| visitors',
    ]),
  );
  // Tailscale dials out as well.
  expect(arrows(drawn)).toContain('  operators -->|"6443, over Tailscale"| api');
  expect(drawn).toContain('firewall{{"firewall<br/>443: cloudflare"}}');
});

test("operators who come from addresses come through the firewall", () => {
  const drawn = edgePicture(referencePlatform("honeydue"));
  expect(arrows(drawn)).toEqual(
    expect.arrayContaining(['  operators -->|"6443"| firewall', '  firewall -->|"6443"| api']),
  );
  expect(drawn).toContain('firewall{{"firewall<br/>443: cloudflare<br/>6443: operators"}}');
});

test("a tunnel has no firewall's door to draw: its connectors dial out", () => {
  const drawn = edgePicture(referencePlatform("hangangjari"));
  expect(drawn).toContain('zone -.->|"7844, dialled by cloudflared"| connectors');
  expect(drawn).not.toContain("firewall");
  expect(arrows(drawn)).toContain('  connectors -->|"api.hangangjari.example/v1/home"| service_api');
  expect(arrows(drawn)).toContain('  zone -->|"support.hangangjari.example"| site_support');
});

test("in an emergency visitors come through the firewall, whatever the edge", () => {
  const drawn = edgePicture(referencePlatform("hangangjari", { emergency: "direct" }));
  expect(arrows(drawn)).toContain('  visitors -->|"443"| firewall');
  expect(arrows(drawn).some((line) => line.startsWith("  connectors"))).toBe(false);
});

test("the same model gives the same bytes", () => {
  expect(edgePicture(referencePlatform("farm"))).toBe(edgePicture(referencePlatform("farm")));
});
