import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Stack } from "./stack";
import { Refusal } from "./refusal";

/** A setting by its path below `trivet:`, e.g. `revisions["general-1"]`. */
export type SettingPath = string;

export interface SettingsChange {
  /** Puts the file back as it was, to the byte. Refuses when somebody else wrote to it since. */
  undo(): void;
}

/** Writes settings as `pulumi config set --path` does: numbers as numbers, comments kept. All of them, or none. */
export async function setSettings(
  { pulumi, configFile }: Stack,
  settings: Readonly<Record<SettingPath, string | number>>,
): Promise<SettingsChange> {
  const pairs = Object.entries(settings).flatMap(([path, value]) => ["--plaintext", `trivet:${path}=${value}`]);
  return changing(configFile, async () => void (await pulumi.read(["config", "set-all", "--path", ...pairs])));
}

/** Writes secrets, each encrypted by the CLI, which is given it on its standard input: no value is ever an argument. All of them, or none. */
export async function setSecrets(
  { pulumi, configFile }: Stack,
  secrets: Readonly<Record<SettingPath, string>>,
): Promise<SettingsChange> {
  return changing(configFile, async () => {
    for (const [path, value] of Object.entries(secrets))
      await pulumi.read(["config", "set", "--secret", `trivet:${path}`], value);
  });
}

/** Takes a setting away again. */
export async function removeSetting({ pulumi, configFile }: Stack, path: SettingPath): Promise<SettingsChange> {
  return changing(configFile, async () => void (await pulumi.read(["config", "rm", "--path", `trivet:${path}`])));
}

async function changing(file: string, change: () => Promise<void>): Promise<SettingsChange> {
  const before = existsSync(file) ? readFileSync(file) : undefined;
  const back = (): void => {
    if (before === undefined) rmSync(file, { force: true });
    else writeFileSync(file, before);
  };
  try {
    await change();
  } catch (error) {
    back(); // Ctrl-C, for one, may come when it is written already
    throw error;
  }
  const after = readFileSync(file);
  return {
    undo: () => {
      if (!readFileSync(file).equals(after)) {
        throw new Refusal(
          `${file} was changed meanwhile, so it was left as it is. Look at it before the next pulumi up.`,
        );
      }
      back();
    },
  };
}
