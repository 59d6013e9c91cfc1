import { type Change, touchesNode } from "./change";

/** What a preview says about one node. */
export type Outlook = { readonly node: string } & (
  | { readonly fate: "untouched" }
  /** `again`: others of its platform are there, so it is new, or its server is gone. */
  | { readonly fate: "created"; readonly again: boolean }
  | { readonly fate: "changed"; readonly change: Change; readonly replaced: boolean }
);

/** One line a node, aligned; undefined when there is nothing to say. */
export function previewTable(outlooks: readonly Outlook[]): string | undefined {
  const rows = outlooks.map((outlook) => [outlook.node, ...fate(outlook)]);
  if (rows.every(([, what]) => what === UNTOUCHED)) return undefined;
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const widths = [width(0), width(1)];
  return [
    "What this means for the nodes:",
    ...rows.map(([node = "", what = "", why = ""]) =>
      `  ${node.padEnd(widths[0]!)}  ${what.padEnd(widths[1]!)}  ${why}`.trimEnd(),
    ),
  ].join("\n");
}

const UNTOUCHED = "untouched";

function fate(outlook: Outlook): [what: string, why: string] {
  if (outlook.fate === "untouched") return [UNTOUCHED, ""];
  if (outlook.fate === "created") return ["created", outlook.again ? "no server of its name is at Hetzner" : ""];
  const { change, replaced } = outlook;
  const why = change.reasons.join(", ");
  if (replaced) return ["replaced", why === "" ? "as asked" : why];
  if (change.generation || change.restore !== undefined) return ["rebuilt with all others, at once", why];
  if (change.impossible.length > 0) return ["refused", why];
  if (change.forbiddenStep !== undefined) return ["refused", change.forbiddenStep];
  if (change.rebuild && change.resize) return ["rebuilt and resized in its turn", why];
  if (change.rebuild) return ["rebuilt in its turn", why];
  if (change.resize) return ["resized in its turn", why];
  if (change.readdress) return ["restarted in its turn", why];
  return [UNTOUCHED, ""];
}

/** Whether an update says anything about the node. */
export const outlookOf = (node: string, change: Change, replaced: boolean): Outlook =>
  replaced || touchesNode(change) ? { node, fate: "changed", change, replaced } : { node, fate: "untouched" };
