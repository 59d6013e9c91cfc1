import type { PlatformDefinition } from "./definition";
import type { Platform } from "./platform";
import type { Problem } from "./problem";
import type { RawSettings } from "./settings";

export type Resolution =
  | { readonly platform: Platform; readonly problems?: never }
  | { readonly problems: readonly Problem[]; readonly platform?: never };

/** Checks everything and returns the complete platform, or every mistake at once. Pure: same input, same answer. */
export declare const resolve: (definition: PlatformDefinition, settings: RawSettings) => Resolution;

/** The text for people: one line a problem, as `pulumi up` prints it. */
export declare const report: (problems: readonly Problem[], source: string) => string;
