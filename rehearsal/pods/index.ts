import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { PodPlayer } from "../k3s";
import { KubernetesApi } from "../k3s/kubernetes-api";
import type { Wire } from "../wire/wire";
import { type Program, programPlay } from "./container";
import { ProcessKubelet } from "./kubelet";
import { nginxPlay } from "./nginx";
import type { Pod } from "./pod";
import { ServicesFile } from "./services";
import { whoamiPlay } from "./whoami";

export type { Program } from "./container";
export type { WhoamiAnswer } from "./whoami";

/** Pods with these values of the label app.kubernetes.io/component are processes; kwok simulates all others. */
const PLAYED_COMPONENTS: readonly string[] = ["ingress", "connector", "maintenance", "service"];

/** Where a connector finds the file of the Services; the node's own. */
const SERVICES_FOLDER = "/run/services";
const SERVICES_NAME = "services.json";
/** The same file, on a server's disk. */
export const SERVICES_FILE = `${SERVICES_FOLDER}/${SERVICES_NAME}`;

export interface Programs {
  /** The real one. */
  traefik: Program;
  /** What stands in for cloudflared; the file of the Services is given to it. */
  cloudflared: Program;
}

const hasImage =
  (name: string) =>
  ({ spec }: Pod): boolean =>
    spec.containers.some(({ image }) => new RegExp(`(?:^|[/-])${name}[:@]`).test(image));

/** Plays pods of Traefik, connectors, the maintenance page and services, each in its server's or its own network. */
export function podPlayer(wire: Wire, { traefik, cloudflared }: Programs): PodPlayer {
  return {
    components: PLAYED_COMPONENTS,
    join: async ({ api, ...node }, { files, processes, say }) => {
      const place = await wire.plugIn(node, processes, files.log("network"));
      const services = files.at(SERVICES_FOLDER);
      mkdirSync(services, { recursive: true, mode: 0o755 });
      const following = new ServicesFile(
        new KubernetesApi(api.url, api.authorityPem, api.proxy),
        join(services, SERVICES_NAME),
      );
      const kubelet = new ProcessKubelet({
        api,
        place,
        plays: [
          programPlay(traefik, hasImage("traefik")),
          programPlay(
            {
              ...cloudflared,
              beside: { ...cloudflared.beside, [SERVICES_FOLDER]: services },
              variables: { ...cloudflared.variables, REHEARSAL_SERVICES: SERVICES_FILE },
            },
            hasImage("cloudflared"),
          ),
          nginxPlay,
          whoamiPlay,
        ],
        components: PLAYED_COMPONENTS,
        register: processes,
        folder: files.at("/var/lib/kubelet/pods"),
        say,
      });
      return {
        close: async () => {
          await Promise.all([kubelet.close(), following.close()]);
          await place.unplug();
        },
      };
    },
  };
}
