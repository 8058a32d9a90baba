/**
 * The one place where hits become rows: batches of all logs, and what is looked at again, one after the other, each read, counted and committed
 * behind the fence (pipeline.ts). A batch that is refused was counted before, or somebody else leads; whoever asked reads its cursor again.
 *
 * A record the database or this program cannot take (there should be none) does not stop its log: its batch is cut in halves until it stands
 * alone, and it is set aside with its place. Only a few at a time: if everything is refused, the fault is not in the records.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Sql } from "../db/sql.ts";
import { type Batch, packBatch } from "../db/tracking-batch.ts";
import { type Fence, logPosition, turnBack } from "../db/tracking-sources.ts";
import { openAgents } from "./agents.ts";
import { countHits } from "./count.ts";
import { openEndedDeliveries } from "./ended.ts";
import { readKnown, type UnderWay } from "./known.ts";
import { openMonths } from "./months.ts";
import { advanceOf, halves, MISSING, type Part, type Piece, readPart, setAside } from "./piece.ts";
import { openPipeline, type Prepared, type Sent, type Taken } from "./pipeline.ts";
import { openSweeps } from "./sweep.ts";

export interface Consolidator {
  /** Counts a piece. Rejects when the database does not answer: whether it was counted is then not known. */
  take(piece: Piece): Promise<Taken>;
  /** A log goes on at `to`, before `from`; false when it is elsewhere by now, or somebody else leads. */
  turnBack(log: string, from: number, to: number): Promise<boolean>;
  /** Commits what `make` makes of what there is when its turn comes; null: nothing. */
  change(make: () => Promise<Omit<Batch, "advance" | "damage"> | null>): Promise<Taken>;
}

export interface CountedFacts {
  readonly records: number;
  /** Set aside. */
  readonly damaged: number;
  /** Since the newest of them. */
  readonly behindMs: number;
}

export interface ConsolidatorDeps {
  readonly sql: Sql;
  readonly log: Log;
  readonly clock: Clock;
  /** As it was raised. */
  readonly fence: Fence;
  /** Called for each part that was counted. */
  readonly counted: (facts: CountedFacts) => void;
  /** User agents that are remembered. */
  readonly agents?: number;
  /** Records of one commit. */
  readonly batch?: number;
}

/** Records of one commit: what it changes of sums and what it costs to be durable is shared by all of them (measured: 15 µs of the database for a hit, 17 with half). */
const BATCH = 10_000;
/** Records of one piece that are set aside because they could not be counted. */
const MOST_UNCOUNTABLE = 20;

export function openConsolidator(deps: ConsolidatorDeps): Consolidator {
  const { sql, log, clock } = deps;
  const agents = openAgents(sql, deps.agents ?? 20_000);
  const sweeps = openSweeps();
  const months = openMonths(sql);
  const ended = openEndedDeliveries(sql, clock);
  const { inTurn, send, result, quiet } = openPipeline(sql, deps.fence);

  /** @param meanwhile called once the questions are out. */
  async function prepare(
    part: Part,
    before: UnderWay | null,
    { nextId }: Fence,
    meanwhile: () => void,
  ): Promise<Prepared> {
    const hits = part.records;
    await months.make(hits.map(({ at }) => at));
    const reading = readKnown({ sql, agents, ended }, hits, before);
    meanwhile();
    const known = await reading;
    const { addressless, ...counted } = countHits(hits, known, sweeps, nextId);
    const batch = packBatch({ ...counted, damage: part.damage, advance: advanceOf(part) });
    // What the next batch begins with.
    for (const reaction of counted.reactions) reaction.fresh = reaction.changed = false;
    const sent = (): void => {
      if (addressless === 0) return;
      const what =
        "readers unsubscribed from messages that are not in the database any more: their addresses cannot be suppressed";
      log.error({ unsubscriptions: addressless }, what);
    };
    return { batch, underWay: { ...counted, reactions: known.reactions }, sent };
  }

  async function sendPart(piece: Piece, part: Part, meanwhile: () => void = () => {}): Promise<Sent | Taken> {
    const sent = await send(piece, (before, fence) => prepare(part, before, fence, meanwhile));
    if (typeof sent !== "string")
      sent.committed.then(
        (committed) => committed && deps.counted(factsOf(part, clock.now())),
        () => {},
      );
    return sent;
  }

  function read(piece: Piece, position: number): Part {
    const part = readPart(piece, position, deps.batch ?? BATCH, clock.now());
    tell(part, log);
    return part;
  }

  /** Sends the parts of a piece; the last of them may still be under way. */
  async function sendAll(piece: Piece): Promise<Sent | Taken> {
    try {
      for (let part: Part | null = read(piece, piece.from); ;) {
        const here: Part = part;
        let next: Part | null = null;
        const last = await sendPart(piece, here, () => {
          if (here.to < piece.to) next ??= read(piece, here.to);
        });
        if (typeof last === "string" || next === null) return last;
        part = next;
      }
    } catch (err) {
      await quiet();
      throw err;
    }
  }

  /** A part with something in it that cannot be counted, in halves. */
  async function takeHalves(piece: Piece, part: Part, spared: { left: number }): Promise<Taken> {
    try {
      return await result(await sendPart(piece, part));
    } catch (err) {
      if (!isOfRecords(err) || spared.left === 0 || part.records.length === 0) throw err;
      if (part.records.length > 1) {
        const [first, second] = halves(part);
        const taken = await takeHalves(piece, first, spared);
        return taken === "counted" ? takeHalves(piece, second, spared) : taken;
      }
      spared.left--;
      log.error({ err, log: part.log, position: part.places[0] }, "a record cannot be counted; it is set aside");
      return result(await sendPart(piece, setAside(part, err)));
    }
  }

  /** A piece whose counting failed for something in it; some of it may have been committed. */
  async function takeCarefully(piece: Piece): Promise<Taken> {
    await quiet();
    const spared = { left: MOST_UNCOUNTABLE };
    for (let at = Math.max(piece.from, await logPosition(sql, piece.log)); at < piece.to;) {
      const part = read(piece, at);
      const taken = await takeHalves(piece, part, spared);
      if (taken !== "counted") return taken;
      at = part.to;
    }
    return "counted";
  }

  return {
    async take(piece) {
      try {
        return await result(await inTurn(() => sendAll(piece)));
      } catch (err) {
        if (!months.forgot(err) && !isOfRecords(err)) throw err;
        return inTurn(() => takeCarefully(piece));
      }
    },
    turnBack: (log, from, to) =>
      inTurn(async () => {
        await quiet();
        return turnBack(sql, deps.fence.epoch, log, from, to);
      }),
    change: (make) =>
      inTurn(async () => {
        // It is made of what is there, not of what will be.
        await quiet();
        const sent = await send(make, async () => {
          const batch = await make();
          return batch && { batch: packBatch({ ...batch, damage: [], advance: null }), underWay: null };
        });
        return result(sent);
      }),
  };
}

function factsOf({ records, damage }: Part, now: number): CountedFacts {
  return {
    records: records.length,
    damaged: damage.reduce((n, one) => n + one.records, 0),
    behindMs: records.length === 0 ? 0 : now - records.at(-1)!.at,
  };
}

/** What is wrong with a part of a log. */
function tell({ log: name, damage, clockWrong }: Part, log: Log): void {
  if (clockWrong) log.warn({ log: name }, "the clock of the redirection server is wrong by more than a day");
  for (const { position, octets } of damage.filter(({ reason }) => reason === MISSING))
    log.error({ log: name, position, octets }, "a piece of the tracking log is missing");
  const damaged = damage.filter(({ reason }) => reason !== MISSING);
  if (damaged.length === 0) return;
  const { position, reason } = damaged[0]!;
  log.error(
    { log: name, position, reason, places: damaged.length },
    "damaged records of the tracking log are set aside",
  );
}

/** The classes of SQLSTATE that speak of what was sent: data exceptions, constraints, limits of the program. */
const OF_DATA = /^(?:22|23|54)/;

/** Does an error come from what is in the records, and not from the surroundings? */
function isOfRecords(err: unknown): boolean {
  if (err instanceof TypeError || err instanceof RangeError || err instanceof SyntaxError) return true;
  const { code } = err as { code?: unknown };
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && OF_DATA.test(code);
}
