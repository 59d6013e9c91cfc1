/**
 * Command line of a Kubernetes component: K3s' own arguments overridden by the user's `kube-...-arg` list. K3s' rules:
 * `name=value` replaces K3s' value (given several times, all are passed), `name+=value` adds behind it, `name-=value` before it.
 */
export function mergeArguments(defaults: Readonly<Record<string, string>>, extra: readonly string[]): string[] {
  const initial = new Map(Object.entries(defaults));
  const merged = new Map<string, string[]>();
  for (const argument of extra) {
    const at = argument.indexOf("=");
    const [written, value] = at < 0 ? [argument, "true"] : [argument.slice(0, at), argument.slice(at + 1)];
    const name = written.replace(/[-+]+$/, "");
    const before = [
      ...(initial.has(name) && written !== name ? [initial.get(name)!] : []),
      ...(merged.get(name) ?? []),
    ];
    initial.delete(name);
    merged.set(name, written.endsWith("-") ? [value, ...before] : [...before, value]);
  }
  for (const [name, value] of initial) merged.set(name, [value]);
  return [...merged.keys()].sort().flatMap((name) => merged.get(name)!.map((value) => `--${name}=${value}`));
}
