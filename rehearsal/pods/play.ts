import type { ProcessRegister } from "../k3s/processes";
import type { NodePlace } from "../wire/wire";
import type { Pod } from "./pod";
import type { PodVolumes } from "./volumes";

/** Everything that a play needs to start a pod's part. */
export interface Stage {
  pod: Pod;
  place: NodePlace;
  podIP: string;
  volumes: PodVolumes;
  /** Of each container by its name, with the values of objects and fields filled in. */
  environment: ReadonlyMap<string, Readonly<Record<string, string>>>;
  register: ProcessRegister;
  /** A folder for this start of it, and where its output goes. */
  folder: string;
  logFile: string;
}

export interface PlayedProcess {
  /** Its exit code. */
  readonly ended: Promise<number>;
  /** Why it ended, if it says so. */
  lastWords(): readonly string[];
  /** SIGTERM; what still runs after the grace is killed. */
  stop(graceSeconds: number): Promise<void>;
}

/** Who acts for the containers of a kind of pods. */
export interface Play {
  matches(pod: Pod): boolean;
  start(stage: Stage): Promise<PlayedProcess>;
}
