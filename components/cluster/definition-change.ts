import type * as pulumi from "@pulumi/pulumi";

/**
 * Stops an update that would change what a running server is, before anything is touched.
 *
 * The server ignores changes of its user-data and image (a provider can only replace the server for them, and would replace all
 * three at once), so a changed definition arrives here as a changed label. Written, that label would say that the server
 * runs what it does not; ignored, the change would never arrive and nobody would know. A resize powers the server off, and the
 * engine resizes all three side by side. Until they roll one by one behind a health gate, the loud refusal is the safe one.
 * The rolling takes this hook's place: same event, same labels.
 */
export async function refuseChangedServer({
  name,
  oldInputs,
  newInputs,
}: Pick<pulumi.ResourceHookArgs, "name" | "oldInputs" | "newInputs">): Promise<void> {
  const before = labelsIn(oldInputs);
  const after = labelsIn(newInputs);
  const changes = [
    ["generation", before["generation"], after["generation"]],
    ["definition", before["definition"], after["definition"]],
    ["server type", oldInputs?.["serverType"], newInputs?.["serverType"]],
    // A label that is missing was removed by hand: writing it again repairs that.
  ].filter(([, was, is]) => was !== undefined && was !== is);
  if (changes.length === 0) return;
  const list = changes.map(([what, was, is]) => `${String(what)} ${String(was)} -> ${String(is)}`).join(", ");
  throw new Error(
    `server ${name} stays as it is (${list}): this version of Trivet cannot yet change a running server safely, one at a time. ` +
      "Undo the change of the definition or the setting, and run pulumi up again; or, where the cluster may be lost, " +
      "destroy it and bring it up anew.",
  );
}

const labelsIn = (inputs: Record<string, unknown> | undefined): Record<string, unknown> =>
  (inputs?.["labels"] as Record<string, unknown> | undefined) ?? {};
