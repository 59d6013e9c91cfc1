import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findCommand } from "../boot/requirements";
import type { Play, PlayedProcess, Stage } from "./play";
import type { Container, Pod } from "./pod";

/** What making the container's own root takes, beside what the manifest gives. They are the program's only in a user's own namespace. */
const CAPABILITIES_OF_ROOT = ["sys_chroot", "setuid", "setgid"];

/** A program of this machine that takes the place of an image's. */
export interface Program {
  path: string;
  /** What stands before the manifest's arguments. Default: nothing. */
  args?: readonly string[];
  /** Files and folders of this machine that it needs, by the path at which it finds them. Default: none. */
  beside?: Readonly<Record<string, string>>;
  /** Beside the manifest's. Default: none. */
  variables?: Readonly<Record<string, string>>;
}

/**
 * A program of this machine in the place of an image: in the pod's network, with the manifest's arguments, variables, files at the
 * manifest's paths, user and capabilities, and a root of its own in which nothing else is.
 */
export function programPlay(program: Program, matches: (pod: Pod) => boolean): Play {
  return {
    matches,
    start: async (stage) => {
      const [container] = stage.pod.spec.containers;
      if (!container || stage.pod.spec.containers.length !== 1)
        throw new Error(
          `${stage.pod.metadata.name}: one container is played, it has ${stage.pod.spec.containers.length}`,
        );
      const root = join(stage.folder, "root");
      mkdirSync(root, { recursive: true, mode: 0o755 });
      const script = join(stage.folder, "start.sh");
      writeFileSync(script, startScript(program, root, container, stage), { mode: 0o700 });
      const { pod, place, podIP, register, logFile } = stage;
      const own = pod.spec.hostNetwork ? undefined : await place.plugInPod(podIP, register, logFile);
      const [enter = "", ...how] = (own ?? place).enter;
      const process = register.start({
        name: `${pod.metadata.name} (${basename(program.path)})`,
        path: enter,
        args: [
          ...how,
          ...[findCommand("unshare") ?? "unshare", "--mount", "--propagation", "private", "--", "sh", script],
        ],
        cwd: stage.folder,
        logFile,
      });
      return {
        ended: process.exited.then(async ({ code, signal }) => {
          await own?.unplug();
          return code ?? (signal === "SIGKILL" ? 137 : 143);
        }),
        lastWords: () => process.logTail(3),
        stop: async (graceSeconds) => {
          if (process.hasExited) return;
          try {
            global.process.kill(process.pid, "SIGTERM");
          } catch {
            // It ended in between.
          }
          const bound = new AbortController();
          await Promise.race([
            process.exited,
            delay(graceSeconds * 1000, undefined, { signal: bound.signal }).catch(() => undefined),
          ]);
          bound.abort();
          await process.stop("at once");
        },
      } satisfies PlayedProcess;
    },
  };
}

/** Quoted for sh. */
const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** `$(NAME)` of a variable that is known, as Kubernetes has it; `$$(NAME)` stays `$(NAME)`. */
export const expand = (text: string, variables: Readonly<Record<string, string>>): string =>
  text.replace(/\$(\$|\(([A-Za-z_][A-Za-z0-9_.-]*)\))/g, (whole, second: string, name: string) =>
    second === "$" ? "$" : (variables[name] ?? whole),
  );

function startScript(
  program: Program,
  root: string,
  container: Container,
  { pod, volumes, environment }: Stage,
): string {
  const variables = { ...environment.get(container.name), ...program.variables };
  const at = (path: string): string => quote(`${root}${path}`);
  const own = `/bin/${basename(program.path)}`;
  const command = (container.command ?? [own, ...(program.args ?? [])]).map((word) => expand(word, variables));
  const args = (container.args ?? []).map((word) => expand(word, variables));
  const mounts = [...(container.volumeMounts ?? [])].sort((a, b) => a.mountPath.length - b.mountPath.length);
  const security = { ...pod.spec.securityContext, ...container.securityContext };
  const user =
    hasEveryUser() && security.runAsUser
      ? `--userspec=${security.runAsUser}:${security.runAsGroup ?? security.runAsUser} `
      : "";
  const capabilities = [
    ...(security.capabilities?.add ?? []).map((name) => name.toLowerCase().replace(/^cap_/, "")),
    ...CAPABILITIES_OF_ROOT,
  ].map((name) => `+${name}`);
  return [
    "set -eu",
    `cd ${quote(root)}`,
    `mount -t tmpfs -o mode=755,size=16m tmpfs ${quote(root)}`,
    `mkdir -p ${["/proc", "/dev", "/etc", "/bin", "/run", "/var"].map(at).join(" ")}`,
    `ln -s ../run ${at("/var/run")}`,
    `echo '127.0.0.1 localhost' > ${at("/etc/hosts")}`,
    `mount --rbind /proc ${at("/proc")}`,
    ...["null", "zero", "urandom"].flatMap((name) => [
      `: > ${at(`/dev/${name}`)}`,
      `mount --bind /dev/${name} ${at(`/dev/${name}`)}`,
    ]),
    ...Object.entries({ ...program.beside, [own]: program.path }).flatMap(([path, source]) => [
      statSync(source).isDirectory() ? `mkdir -p ${at(path)}` : `mkdir -p ${at(dirname(path))}; : > ${at(path)}`,
      `mount --bind ${quote(source)} ${at(path)}`,
    ]),
    ...mounts.flatMap(({ name, mountPath, subPath, readOnly }) => {
      const source = join(volumes.at(name), subPath ?? "");
      const target = at(mountPath.replace(/^\/var\/run\//, "/run/"));
      const make =
        subPath !== undefined && existsSync(source)
          ? `mkdir -p "$(dirname ${target})"; : > ${target}`
          : `mkdir -p ${target}`;
      return [
        make,
        `mount --bind ${quote(source)} ${target}`,
        // In a user namespace the flags of the file system below must be named again.
        ...(readOnly
          ? [
              ["ro", "ro,nosuid,nodev", "ro,nosuid,nodev,noatime", "ro,nosuid,nodev,relatime"]
                .map((flags) => `mount -o remount,bind,${flags} ${target} 2>/dev/null`)
                .join(" || "),
            ]
          : []),
      ];
    }),
    ...(security.readOnlyRootFilesystem ? [`mount -o remount,ro ${quote(root)}`] : []),
    [
      "exec env -i",
      ...Object.entries(variables).map(([name, value]) => quote(`${name}=${value}`)),
      `${quote(findCommand("setpriv") ?? "setpriv")} --no-new-privs --inh-caps=-all --bounding-set=-all,${capabilities.join(",")}`,
      `${quote(findCommand("chroot") ?? "chroot")} ${user}${quote(root)}`,
      ...[...command, ...args].map(quote),
    ].join(" "),
    "",
  ].join("\n");
}

/** In a user namespace of one's own only root exists. */
const hasEveryUser = (): boolean => {
  try {
    return readFileSync("/proc/self/uid_map", "utf8").trim().split(/\s+/)[2] !== "1";
  } catch {
    return false;
  }
};
