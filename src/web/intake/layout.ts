/**
 * The order in which a batch of recipients goes into the ledger (design §5): a domain with enough recipients gets parts of its own, so an
 * mta can leave a saturated provider's parts alone; the long tail shares parts. Ids follow that order, so a part is a range of ids.
 */
import type { PartRange } from "../../db/recipients.ts";
import type { RecipientRow } from "./rows.ts";

/** From so many recipients in a batch a domain has parts of its own; fewer would make parts too small to be worth a claim. */
const OWN_PART_ROWS = 50;

export interface Layout {
  readonly addresses: string;
  readonly variables: string;
  /** Ranges counted from 0: add the first id. */
  readonly parts: readonly PartRange[];
}

export function layOut(rows: readonly RecipientRow[], partSize: number): Layout {
  const groups = new Map<string, RecipientRow[]>();
  for (const row of rows) {
    const group = groups.get(row.domain);
    if (group === undefined) groups.set(row.domain, [row]);
    else group.push(row);
  }
  const tail: RecipientRow[] = [];
  const addresses: string[] = [];
  const variables: string[] = [];
  const parts: PartRange[] = [];

  function place(group: readonly RecipientRow[], domain: string): void {
    for (let from = 0; from < group.length; from += partSize) {
      const to = Math.min(from + partSize, group.length);
      parts.push({ firstId: addresses.length, lastId: addresses.length + to - from - 1, domain });
      for (let i = from; i < to; i++) {
        addresses.push(group[i]!.address);
        variables.push(group[i]!.variables);
      }
    }
  }

  for (const [domain, group] of groups) {
    if (group.length >= OWN_PART_ROWS) place(group, domain);
    else tail.push(...group);
  }
  place(tail, "");
  return { addresses: addresses.join("\n"), variables: variables.join("\n"), parts };
}
