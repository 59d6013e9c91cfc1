import { settingUses, unique } from "./checks/draft";
import type { PlatformDefinition } from "./definition";

/** Names of every secret of the stack's configuration that a definition refers to, sorted. */
export const secretNames = (definition: PlatformDefinition): string[] =>
  unique(settingUses(definition).secrets.map(({ reference }) => reference.name)).sort();
