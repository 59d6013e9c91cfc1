/**
 * The mark of a platform: a random value that lives in the state alone. What carries it at a cloud was made by this state, whatever its
 * name says.
 */

/** Label at Hetzner. */
export const INSTALLATION_LABEL = "installation";

/** At Cloudflare, where there are no labels: comment of a record, description of a ruleset. */
export const installationComment = (installation: string): string => `trivet ${installation}`;

/** The mark in such a comment. */
export const installationIn = (comment: string | null | undefined): string | undefined =>
  comment?.replace(/^trivet /, "");
