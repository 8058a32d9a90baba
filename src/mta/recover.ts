/**
 * At start: what the last process of this slot left behind, before anything new is claimed. Outcomes the ledger lacks are recorded; what
 * was intended and has no outcome is in doubt by its delivery's policy; everything else of its parts was never sent and goes back.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { deliveriesById } from "../db/claims.ts";
import { releaseParts } from "../db/leases.ts";
import { type OutcomeRecord, recordOutcomes } from "../db/record.ts";
import { doubtParts, ownedParts, resolveHeld } from "../db/recovery.ts";
import type { Sql } from "../db/sql.ts";
import { volumeOfId } from "../db/volumes.ts";
import { statusNumber } from "../model/delivery.ts";
import { outcome } from "../model/outcome.ts";
import type { Judge } from "../model/reason.ts";
import { settle } from "../model/settle.ts";
import type { Place } from "./held.ts";
import type { JournalRest } from "./journal-rest.ts";
import { recordOf } from "./outcome-record.ts";

export interface RecoverDeps {
  readonly sql: Sql;
  readonly owner: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly judge: Judge;
  readonly log: Log;
}

/** Throws when the database does not answer; then nothing of the journal may be forgotten. */
export async function recover(deps: RecoverDeps, rest: JournalRest): Promise<void> {
  const { sql, owner, log } = deps;
  const parts = await ownedParts(sql, owner);
  const late = await record(deps, rest.settled);
  const known = await resolveHeld(
    sql,
    late
      .filter((r) => r.to === statusNumber("sent") || r.to === statusNumber("failed"))
      .map((r) => ({ id: r.id, status: r.to, reply: r.reply })),
  );
  await record(deps, await doubts(deps, rest.inDoubt));
  if (!rest.complete)
    await doubtParts(sql, parts, "the machine stopped without warning and its journal may lack the last lines");
  await releaseParts(
    sql,
    owner,
    parts.map((p) => ({ id: p.id, epoch: p.epoch, notBefore: 0 })),
  );
  if (parts.length > 0 || rest.settled.length > 0)
    log.info(
      {
        parts: parts.length,
        settled: rest.settled.length,
        inDoubt: rest.inDoubt.length,
        resolved: known,
        journalComplete: rest.complete,
      },
      "took up what the last process left",
    );
}

/** Records what the fence lets through; the records of parts that are another's by now. */
async function record(deps: RecoverDeps, records: readonly OutcomeRecord[]): Promise<OutcomeRecord[]> {
  const refused: OutcomeRecord[] = [];
  for (const [volume, group] of Map.groupBy(records, (r) => volumeOfId(r.id))) {
    const ours = await recordOutcomes(deps.sql, deps.owner, volume, group);
    refused.push(...group.filter((r) => !ours.has(r.partId)));
  }
  return refused;
}

async function doubts(deps: RecoverDeps, intents: readonly Place[]): Promise<OutcomeRecord[]> {
  const deliveries = await deliveriesById(deps.sql, [...new Set(intents.map((i) => i.deliveryId))]);
  const now = deps.clock.now();
  const said = outcome("in-doubt", "dot", { text: "the mta ended before it read the answer to the final dot" });
  const records: OutcomeRecord[] = [];
  for (const intent of intents) {
    const delivery = deliveries.find((d) => d.id === intent.deliveryId);
    if (delivery === undefined) continue;
    const settlement = settle(
      said,
      {
        attempts: intent.attempts,
        moves: 0,
        deliveredBefore: 0,
        retry: delivery.retry,
        deadline: delivery.deadline,
        inDoubt: delivery.inDoubt,
      },
      now,
      deps.random(),
      deps.judge,
    );
    if (settlement.next !== "record") continue;
    records.push(recordOf(intent, said, settlement, now));
  }
  return records;
}
