import { FIXED_KERNEL_SETTINGS, kernelSettingName } from "../kernel";
import type { Problem } from "../problem";
import { type Check, unique } from "./draft";

/** Neither a pattern nor the leading dash of sysctl.d, which hides an error. */
const NAME = /^[a-z0-9_-]+([./][A-Za-z0-9_:-]+)+$/;
const VALUE = /^[!-~]([ -~]{0,198}[!-~])?$/;

export const checkKernel: Check = ({ definition, settings }) => {
  const own = (settings.kernel ?? {}) as Readonly<Record<string, unknown>>;
  const wanted = [
    ...Object.entries(definition.cluster.kernel ?? {}).map(([name, value]) => ({
      name,
      value,
      path: "cluster.kernel",
    })),
    ...Object.entries(own).map(([name, value]) => ({ name, value, path: "trivet:kernel" })),
  ].map(({ path, ...setting }) => ({ ...setting, path: `${path}.${setting.name}`, at: path }));

  const problems = wanted.flatMap(({ name, value, path }): Problem[] => {
    if (!NAME.test(name) || name.startsWith("-"))
      return [{ code: "KN001", path, got: name, allowed: "a name such as net.core.somaxconn, without patterns" }];
    if (!VALUE.test(String(value)) || typeof value === "boolean")
      return [
        { code: "KN001", path, got: value, allowed: "a number or a line of text, e.g. 4096 or 4096 87380 6291456" },
      ];
    const fixed = FIXED_KERNEL_SETTINGS[kernelSettingName(name)];
    return fixed === undefined || fixed.value === String(value)
      ? []
      : [
          {
            code: "KN002",
            path,
            got: value,
            reason: fixed.why,
            allowed: [fixed.value],
            action: "take the setting away",
          },
        ];
  });
  // One setting under two spellings: which of them holds would depend on their order.
  for (const at of unique(wanted.map((setting) => setting.at))) {
    const seen = new Map<string, string>();
    for (const { name, path } of wanted.filter((setting) => setting.at === at)) {
      const other = seen.get(kernelSettingName(name));
      if (other !== undefined)
        problems.push({ code: "KN001", path, got: name, reason: `${other} is the same setting`, action: "keep one" });
      seen.set(kernelSettingName(name), name);
    }
  }
  return problems;
};
