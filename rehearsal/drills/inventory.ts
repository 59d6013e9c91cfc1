import type { Rehearsal } from "../rehearse/rehearsal";

/** What both clouds hold, as text to compare; past actions are left out. */
export async function inventoryOf({ hetzner, cloudflare }: Rehearsal): Promise<string> {
  const [one, other] = await Promise.all(
    [hetzner.url, cloudflare.url].map(async (url) => (await fetch(`${url}/_emulator/state`)).json() as Promise<object>),
  );
  return JSON.stringify([one, other], (key, value: unknown) => (key === "actions" ? undefined : value));
}
