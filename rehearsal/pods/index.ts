import type { PodPlayer } from "../k3s";
import type { Wire } from "../wire/wire";
import { programPlay } from "./container";
import { ProcessKubelet } from "./kubelet";
import { whoamiPlay } from "./whoami";

export type { WhoamiAnswer } from "./whoami";

const TRAEFIK_IMAGE = /(?:^|[/-])traefik(?:[:@]|$)/;

/** Pods with these values of the label app.kubernetes.io/component are processes; kwok simulates all others. */
export const PLAYED_COMPONENTS: readonly string[] = ["ingress", "service"];

/** Plays Traefik's pods with the real Traefik and those of services with a stand-in that answers, each in its server's own network. */
export function podPlayer(wire: Wire, traefik: string): PodPlayer {
  const plays = [
    programPlay(traefik, ({ spec }) => spec.containers.some(({ image }) => TRAEFIK_IMAGE.test(image))),
    whoamiPlay,
  ];
  return {
    components: PLAYED_COMPONENTS,
    join: async ({ api, ...node }, { files, processes, say }) => {
      const place = await wire.plugIn(node, processes, files.log("network"));
      const kubelet = new ProcessKubelet({
        api,
        place,
        plays,
        components: PLAYED_COMPONENTS,
        register: processes,
        folder: files.at("/var/lib/kubelet/pods"),
        say,
      });
      return {
        close: async () => {
          await kubelet.close();
          await place.unplug();
        },
      };
    },
  };
}
