/**
 * The one place where hits become rows: batches of all logs, and what is looked at again, one after the other, each read, counted and committed
 * behind the fence. A batch that is refused was counted before, or somebody else leads; whoever asked reads its cursor again.
 *
 * A record the database or this program cannot take (there should be none) does not stop its log: its batch is cut in halves until it stands
 * alone, and it is set aside with its place. Only a few at a time: if everything is refused, the fault is not in the records.
 */
import type { Log } from "../base/log.ts";
import type { Sql } from "../db/sql.ts";
import { type Advance, type Batch, commitBatch, type Damage, fenceBehind } from "../db/tracking-commit.ts";
import { type Fence, logPosition, makeMonths, readFence } from "../db/tracking-sources.ts";
import { openAgents } from "./agents.ts";
import { countHits } from "./count.ts";
import { readKnown, type UnderWay } from "./known.ts";
import { damaged, type Placed } from "./records.ts";
import { openSweeps } from "./sweep.ts";

/** Octets of a log, read. */
export interface Piece {
  readonly log: string;
  readonly from: number;
  readonly to: number;
  readonly records: readonly Placed[];
  readonly damage: readonly Damage[];
  readonly lost: number;
}

/** `refused`: the log is to be gone on with elsewhere; `deposed`: somebody else leads. */
export type Taken = "counted" | "refused" | "deposed";

export interface Consolidator {
  /** Counts a piece. Rejects when the database does not answer: whether it was counted is then not known. */
  take(piece: Piece): Promise<Taken>;
  /** Commits what `make` makes of what there is when its turn comes; null: nothing. */
  change(make: () => Promise<Omit<Batch, "advance" | "damage"> | null>): Promise<Taken>;
}

export interface ConsolidatorDeps {
  readonly sql: Sql;
  readonly log: Log;
  /** As it was raised. */
  readonly fence: Fence;
  /** User agents that are remembered. */
  readonly agents?: number;
  /** Records of one commit. */
  readonly batch?: number;
}

interface Prepared {
  readonly batch: Batch;
  readonly underWay: UnderWay;
  readonly addressless: number;
}

/** Records of one piece that are set aside because they could not be counted. */
const MOST_UNCOUNTABLE = 20;

export function openConsolidator(deps: ConsolidatorDeps): Consolidator {
  const { sql, log } = deps;
  const agents = openAgents(sql, deps.agents ?? 20_000);
  const sweeps = openSweeps();
  const months = openMonths(sql);
  /** null: a commit went out whose answer was not heard. */
  let fence: Fence | null = deps.fence;
  let turn: Promise<unknown> = Promise.resolve();

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work);
    turn = result.catch(() => {});
    return result;
  }

  /** The fence as it is known, or asked for; null: it is another's. */
  async function known(): Promise<Fence | null> {
    return (fence ??= await readFence(sql, deps.fence.epoch));
  }

  /** From here on until the answer is there nobody knows where the fence stands. */
  async function commit(behind: Fence, batch: Batch): Promise<boolean> {
    fence = null;
    const committed = await commitBatch(sql, behind, batch);
    if (committed) fence = fenceBehind(behind, batch);
    return committed;
  }

  async function prepare(piece: Piece, underWay: UnderWay | null, nextId: number): Promise<Prepared> {
    const hits = piece.records.map(({ record }) => record);
    await months.make(hits.map(({ at }) => at));
    const known = await readKnown(sql, agents, hits, underWay);
    const counted = countHits(hits, known, sweeps, nextId);
    return {
      underWay: { ...counted, reactions: known.reactions },
      batch: { ...counted, damage: piece.damage, advance: advanceOf(piece) },
      addressless: counted.addressless,
    };
  }

  /** Batch after batch: while one is being committed, the next one is read and counted. */
  async function takeAll(piece: Piece): Promise<Taken> {
    let behind = await known();
    if (behind === null) return "deposed";
    let before: UnderWay | null = null;
    let committing: Promise<boolean> = Promise.resolve(true);
    try {
      for (const part of batchesOf(piece, deps.batch ?? BATCH)) {
        const { batch, underWay, addressless } = await prepare(part, before, behind.nextId);
        if (!(await committing)) return "refused";
        if (addressless > 0) shout(addressless);
        committing = commit(behind, batch);
        // Its end is waited for before anything else is done.
        committing.catch(() => {});
        behind = fenceBehind(behind, batch);
        before = underWay;
      }
      return (await committing) ? "counted" : "refused";
    } finally {
      // Whatever went wrong: nothing of this piece is under way any more when the next one begins.
      await committing.catch(() => {});
    }
  }

  function shout(unsubscriptions: number): void {
    log.error(
      { unsubscriptions },
      "readers unsubscribed from messages that are not in the database any more: their addresses cannot be suppressed",
    );
  }

  /** A piece with something in it that cannot be counted, in halves. Some of it may have been committed before. */
  async function takeHalves(piece: Piece, spared: { left: number }): Promise<Taken> {
    try {
      return await takeAll(piece);
    } catch (err) {
      if (!isOfRecords(err) || spared.left === 0) throw err;
      if (piece.records.length > 1) {
        const [first, second] = halves(piece);
        const taken = await takeHalves(first, spared);
        return taken === "counted" ? takeHalves(second, spared) : taken;
      }
      if (piece.records.length === 0) throw err;
      spared.left--;
      log.error({ err, log: piece.log, position: piece.from }, "a record cannot be counted; it is set aside");
      return takeAll(setAside(piece, err));
    }
  }

  async function take(piece: Piece): Promise<Taken> {
    try {
      return await takeAll(piece);
    } catch (err) {
      if (!months.forgot(err) && !isOfRecords(err)) throw err;
      const at = await logPosition(sql, piece.log);
      return takeHalves(from(piece, at), { left: MOST_UNCOUNTABLE });
    }
  }

  return {
    take: (piece) => inTurn(() => take(piece)),
    change: (make) =>
      inTurn(async () => {
        const behind = await known();
        if (behind === null) return "deposed";
        const batch = await make();
        if (batch === null) return "counted";
        return (await commit(behind, { ...batch, damage: [], advance: null })) ? "counted" : "refused";
      }),
  };
}

/** Records of one commit: large enough that a commit costs little, small enough that the next one is ready when it is through. */
const BATCH = 2_500;

function* batchesOf(piece: Piece, records: number): Generator<Piece> {
  let rest = piece;
  while (rest.records.length > records) {
    const [part, behind] = cut(rest, records);
    yield part;
    rest = behind;
  }
  yield rest;
}

function advanceOf({ log, from, to, records, lost }: Piece): Advance {
  return { log, from, to, records: records.length, lost };
}

/** A piece in two: the first has so many records. */
function cut(piece: Piece, records: number): [Piece, Piece] {
  const to = piece.records[records]!.from;
  return [
    {
      ...piece,
      to,
      records: piece.records.slice(0, records),
      damage: piece.damage.filter((d) => d.position < to),
    },
    from(piece, to),
  ];
}

function halves(piece: Piece): [Piece, Piece] {
  return cut(piece, piece.records.length >> 1);
}

/** What of a piece lies behind a position. */
function from(piece: Piece, position: number): Piece {
  return {
    ...piece,
    from: Math.max(piece.from, position),
    records: piece.records.filter((record) => record.from >= position),
    damage: piece.damage.filter((d) => d.position >= position),
  };
}

/** A piece of one record without it. */
function setAside(piece: Piece, err: unknown): Piece {
  const [{ record, from, to }] = piece.records as [Placed];
  const content = Buffer.from(JSON.stringify(record));
  const reason = `cannot be counted: ${String((err as Error).message)}`.slice(0, 300);
  return {
    ...piece,
    records: [],
    damage: [...piece.damage, { ...damaged(from, content, reason), octets: to - from }],
  };
}

/** The classes of SQLSTATE that speak of what was sent: data exceptions, constraints, limits of the program. */
const OF_DATA = /^(?:22|23|54)/;

/** Does an error come from what is in the records, and not from the surroundings? */
function isOfRecords(err: unknown): boolean {
  if (err instanceof TypeError || err instanceof RangeError || err instanceof SyntaxError) return true;
  const { code } = err as { code?: unknown };
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && OF_DATA.test(code);
}

interface Months {
  /** Makes the leaves there are to be for hits at these times (epoch ms). */
  make(times: readonly number[]): Promise<void>;
  /** Was it a leaf that is not there any more? Then all are looked at again. */
  forgot(err: unknown): boolean;
}

const CHECK_VIOLATION = "23514";

function openMonths(sql: Sql): Months {
  const made = new Set<string>();
  return {
    async make(times) {
      const wanted = new Set<string>();
      let [from, to] = [0, 0];
      for (const at of times) {
        if (at >= from && at < to) continue;
        const date = new Date(at);
        from = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
        to = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
        const month = new Date(from).toISOString().slice(0, 10);
        if (!made.has(month)) wanted.add(month);
      }
      if (wanted.size === 0) return;
      await makeMonths(sql, [...wanted]);
      for (const month of wanted) made.add(month);
    },
    forgot(err) {
      const missing = (err as { code?: string }).code === CHECK_VIOLATION && made.size > 0;
      made.clear();
      return missing;
    },
  };
}
