import { ApiObject, type ApiObjectProps, Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import { image } from "../../../model/image-reference";
import { IMAGES } from "../../../model/images";
import type { Platform } from "../../../model/platform";
import { MAINTENANCE, MAINTENANCE_PODS } from "../../../model/sizes";
import {
  configDigest,
  containerResources,
  containerSecurity,
  newBeforeOld,
  oneAway,
  podBasics,
  sleepBeforeStop,
  spreadOverNodes,
} from "../../pods/charts/hardening";
import { labelsOf, selectorOf } from "../../pods/charts/labels";

export const MAINTENANCE_SERVICE = "maintenance";
export const MAINTENANCE_PORT = 8080;

/** Of the image: user and group nginx. */
const NGINX_USER = 101;

const CONFIG_FOLDER = "/etc/nginx/conf.d";
const PAGE_FOLDER = "/usr/share/nginx/html";

/** What a client that can read it should wait before it asks again. */
const RETRY_AFTER_SECONDS = 120;

/**
 * The page that answers for services in the setting `maintenance`: 503 with Retry-After, whatever is asked, so that nothing is
 * kept by caches or taken for an answer of the application. There only as long as the setting names a service: the program makes
 * it and waits for it before it turns the routes, and takes it away after it has turned them back.
 */
export class MaintenanceChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform) {
    super(scope, id, { disableResourceNameHashes: true });
    const { name: platformName, namespace, cluster } = platform;
    const name = MAINTENANCE_SERVICE;
    const labels = labelsOf(platformName, name, "maintenance");
    const selector = selectorOf(name);
    const metadata = { name, namespace, labels };
    const config = { "default.conf": NGINX, "maintenance.html": PAGE };

    new k8s.KubeServiceAccount(this, "account", { metadata, automountServiceAccountToken: false });
    new k8s.KubeConfigMap(this, "config", { metadata, data: config });
    const pods = new ApiObject(
      this,
      "pods",
      k8s.KubeDeployment.manifest({
        metadata,
        spec: {
          replicas: MAINTENANCE_PODS,
          selector: { matchLabels: selector },
          strategy: newBeforeOld,
          revisionHistoryLimit: 5,
          template: {
            metadata: { labels, annotations: configDigest(config) },
            spec: {
              ...podBasics(platform, {
                image: image(IMAGES.nginx),
                user: NGINX_USER,
                group: NGINX_USER,
                serviceAccountName: name,
                priorityClassName: "platform-service",
                graceSeconds: 20,
              }),
              topologySpreadConstraints: [spreadOverNodes(selector, cluster.nodes.length)],
              containers: [
                {
                  name,
                  image: image(IMAGES.nginx).reference,
                  imagePullPolicy: "IfNotPresent",
                  ports: [{ name: "http", containerPort: MAINTENANCE_PORT, protocol: "TCP" }],
                  resources: containerResources(MAINTENANCE),
                  securityContext: containerSecurity,
                  startupProbe: probe(30, 2),
                  readinessProbe: probe(2, 5),
                  livenessProbe: probe(6, 10),
                  volumeMounts: [
                    { name: "config", mountPath: CONFIG_FOLDER, readOnly: true },
                    { name: "page", mountPath: PAGE_FOLDER, readOnly: true },
                    { name: "tmp", mountPath: "/tmp" },
                  ],
                },
              ],
              volumes: [
                { name: "config", configMap: only(name, "default.conf") },
                { name: "page", configMap: only(name, "maintenance.html") },
                { name: "tmp", emptyDir: { sizeLimit: k8s.Quantity.fromString("16Mi") } },
              ],
            },
          },
        },
      }) as ApiObjectProps,
    );
    sleepBeforeStop(pods);
    new k8s.KubeService(this, "service", {
      metadata,
      spec: {
        type: "ClusterIP",
        selector,
        ports: [
          { name: "http", port: MAINTENANCE_PORT, targetPort: k8s.IntOrString.fromString("http"), protocol: "TCP" },
        ],
      },
    });
    if (cluster.nodes.length > 1)
      new k8s.KubePodDisruptionBudget(this, "budget", {
        metadata,
        spec: oneAway(selector),
      });
  }
}

const only = (name: string, key: string): k8s.ConfigMapVolumeSource => ({
  name,
  defaultMode: 0o440,
  items: [{ key, path: key }],
});

/**
 * `/healthz` is the kubelet's. The page is found by an internal redirect to a path, not to a named location: only that turns a POST
 * into a GET, and a file answers a POST with 405. The image's own main configuration writes to /tmp alone.
 */
const NGINX = `server {
  listen ${MAINTENANCE_PORT};
  server_tokens off;
  root ${PAGE_FOLDER};
  access_log off;
  error_page 503 /maintenance.html;
  location = /healthz {
    return 204;
  }
  location = /maintenance.html {
    internal;
    add_header Retry-After ${RETRY_AFTER_SECONDS} always;
    add_header Cache-Control "no-store" always;
  }
  location / {
    return 503;
  }
}
`;

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Back soon</title>
<style>
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 1.1rem/1.5 system-ui, sans-serif; color-scheme: light dark }
  main { max-width: 32rem; padding: 2rem }
</style>
<main>
  <h1>Back soon</h1>
  <p>We are working on something and will be back in a few minutes. Nothing is lost.</p>
</main>
</html>
`;

const probe = (failureThreshold: number, periodSeconds: number): k8s.Probe => ({
  httpGet: { path: "/healthz", port: k8s.IntOrString.fromString("http") },
  periodSeconds,
  timeoutSeconds: 3,
  failureThreshold,
});
