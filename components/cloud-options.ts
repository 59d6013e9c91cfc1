import * as pulumi from "@pulumi/pulumi";
import type { LostAnswerOptions } from "./lost-answers/lost-answers";

/**
 * Adds to a resource's own options what every one with a unique name at a cloud needs: `deleteBeforeReplace`, because most types
 * never ask for it themselves, and the hook that clears up after a create whose answer was lost.
 */
export type CloudOptions = (own: pulumi.CustomResourceOptions) => pulumi.CustomResourceOptions;

export const cloudOptions =
  (lostAnswers: LostAnswerOptions): CloudOptions =>
  (own) =>
    // mergeOptions writes into the first one's hooks: without the copy each resource would get the hooks of all others.
    pulumi.mergeOptions({ ...lostAnswers, hooks: { ...lostAnswers.hooks } }, own);
