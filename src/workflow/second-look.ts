/**
 * Hits that came while nobody knew when their message was sent. A gateway that looks into a mail on its way is quicker than the record of the sending:
 * its hits are counted as people's first, and looked at again when the ledger knows (model/visitor.ts, rule `early`).
 *
 * A message whose sending is not known an hour after its last hit will not be asked about any more.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Sql } from "../db/sql.ts";
import type { Batch } from "../db/tracking-batch.ts";
import {
  type EarlierHit,
  NEVER_KNOWN,
  type Reaction,
  readEarlier,
  readMessages,
  readReactions,
  readSent,
  readVisitors,
  unsentReactions,
} from "../db/tracking-state.ts";
import { VISITOR_CLASSES } from "../model/tracking.ts";
import { isPerson } from "../model/visitor-rule.ts";
import { earlyRule, isEarly } from "../model/visitor.ts";
import type { Consolidator } from "./consolidate.ts";
import { takeBack } from "./count.ts";
import { pause } from "./source.ts";
import { openTally } from "./tally.ts";

export interface SecondLookDeps {
  readonly sql: Sql;
  readonly consolidator: Pick<Consolidator, "change">;
  readonly clock: Clock;
  readonly log: Log;
}

const LOOK_MS = 5_000;
const AT_ONCE = 1000;
const GIVE_UP_MS = 3_600_000;
/** Hits of so long ago may be looked at again. */
const BACK_MS = 2 * 86_400_000;

/** Looks until the signal aborts. Never rejects. */
export async function lookAgain(deps: SecondLookDeps, signal: AbortSignal): Promise<void> {
  const { sql, clock, log, consolidator } = deps;
  let after = 0;
  while (!signal.aborted) {
    await pause(clock, LOOK_MS, signal);
    if (signal.aborted) return;
    try {
      const ids = await unsentReactions(sql, after, AT_ONCE);
      after = ids.length === AT_ONCE ? ids.at(-1)! : 0;
      if (ids.length > 0) await consolidator.change(() => reconsider(deps, ids));
    } catch (err) {
      // The pulls say it loudly.
      log.debug({ err }, "hits cannot be looked at again at the moment");
    }
  }
}

/** What changes now that it is known of some of these messages when they were sent; null: nothing. */
export async function reconsider(
  { sql, clock }: Pick<SecondLookDeps, "sql" | "clock">,
  ids: readonly number[],
): Promise<Omit<Batch, "advance" | "damage"> | null> {
  const now = clock.now();
  const reactions = new Map<number, Reaction>();
  await readReactions(sql, ids, reactions);
  const [messages, sent] = [await readMessages(sql, ids), await readSent(sql, ids)];
  const earlier = Map.groupBy(await readEarlier(sql, ids, now - BACK_MS, now + BACK_MS), ({ messageId }) => messageId);
  const taken: EarlierHit[] = [];
  for (const [id, reaction] of reactions) {
    const sentAt = messages.has(id) ? (sent.get(id) ?? 0) : NEVER_KNOWN;
    const hits = earlier.get(id) ?? [];
    reaction.sentAt = sentAt;
    reaction.changed = true;
    if (sentAt === 0 && hits.every(({ at }) => at < now - GIVE_UP_MS)) reaction.sentAt = NEVER_KNOWN;
    for (const hit of hits) if (isEarly(hit.at, sentAt) && isPerson(VISITOR_CLASSES[hit.class]!)) taken.push(hit);
  }
  const changed = [...reactions.values()].filter(({ sentAt }) => sentAt !== 0);
  if (changed.length === 0) return null;
  const wanted = taken.filter(({ visitor }) => visitor !== "");
  const tally = openTally(await readVisitors(sql, wanted));
  const corrections = takeBack(taken, (hit) => earlyRule(VISITOR_CLASSES[hit.class]!), reactions, tally);
  return {
    rows: [],
    reactions: changed,
    links: tally.links,
    deliveries: tally.deliveries,
    visitors: tally.visitors,
    corrections,
    optOuts: [],
  };
}
