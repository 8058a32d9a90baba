/**
 * One redirection server: its log is pulled and counted for as long as this machine leads. The next octets are asked for while those before are being
 * counted; what is acknowledged to the server is only what was committed. Where to go on is what the database says: after every doubt (a
 * commit without an answer, another log, somebody else's work) it is asked again, so nothing is counted twice and nothing is left out.
 *
 * A server that does not answer is asked again and again, at growing intervals; that it is away is logged once and written down for whoever asks.
 */
import { openBackoff } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { HttpAnswer, HttpAsk } from "../http/client.ts";
import type { Sql } from "../db/sql.ts";
import { logAt, noteRedirector, attachLog } from "../db/tracking-sources.ts";
import type { Claims } from "./claims.ts";
import type { Consolidator } from "./consolidate.ts";
import type { Piece } from "./piece.ts";
import type { Taken } from "./pipeline.ts";
import { type Cursor, pull, type Pulled } from "./pull.ts";

export interface SourceDeps {
  readonly ask: (request: HttpAsk) => Promise<HttpAnswer>;
  readonly sql: Sql;
  readonly consolidator: Pick<Consolidator, "take" | "turnBack">;
  /** Shared by all that are pulled. */
  readonly claims: Claims;
  readonly secret: string;
  readonly pullRecords: number;
  readonly pullWaitMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** 0…1. */
  readonly random: () => number;
}

const FIRST_PAUSE_MS = 250;
const MOST_PAUSE_MS = 30_000;
/** An answer without records that did not wait is followed by a pause: a server that cannot let anybody wait is not to be hammered. */
const QUICK_MS = 100;
const QUIET_PAUSE_MS = 500;
/** A server that is started again and again from one copy lives longer than this. */
const LIFE_MS = 5 * 60_000;
/** That all is well is written down this often. */
const NOTE_MS = 60_000;

/** An answer, and the octets of it. */
interface Answered {
  readonly pulled: Pulled;
  readonly piece: Piece | null;
  readonly tookMs: number;
}

/** A piece that was given to be counted, and is not through yet. */
interface Taking {
  readonly piece: Piece;
  readonly result: Promise<Taken>;
}

/** Pulls one server until the signal aborts. Never rejects. */
export async function pullSource(deps: SourceDeps, address: string, signal: AbortSignal): Promise<void> {
  const { sql, clock, consolidator } = deps;
  const log = deps.log.child({ redirector: address });
  const backoff = openBackoff({ firstMs: FIRST_PAUSE_MS, maxMs: MOST_PAUSE_MS, random: deps.random });
  const told = openTold(deps, address, log);
  let limit = deps.pullRecords;
  /** null: to be asked for. */
  let cursor: Cursor | null = null;
  let ahead: { readonly at: number; readonly answer: Promise<Answered> } | null = null;
  let taking: Taking | null = null;
  /** Everything before is in the database. */
  let committed = 0;
  /** Where the server last said that its log goes on. */
  let resumed = { to: -1, at: 0 };

  async function ask(at: Cursor): Promise<Answered> {
    const { secret, pullWaitMs: waitMs } = deps;
    const began = clock.monotonic();
    const pulled = await pull({ ask: deps.ask, address, secret, records: limit, waitMs, signal }, at, committed);
    return {
      pulled,
      piece: pulled.kind === "octets" ? pieceOf(pulled) : null,
      tookMs: clock.monotonic() - began,
    };
  }

  /** What comes next at the cursor, asked for already or not. */
  function answerAt(at: Cursor): Promise<Answered> {
    if (ahead === null || ahead.at !== at.position) {
      ahead = { at: at.position, answer: ask(at) };
      // It is looked at when what came before is through; until then it must not be an error nobody catches.
      ahead.answer.catch(() => {});
    }
    return ahead.answer;
  }

  async function locate(): Promise<Cursor> {
    const name = await logAt(sql, address);
    const position = name === "" ? 0 : await attachLog(sql, name, address);
    committed = position;
    ahead = null;
    return { log: name, position };
  }

  async function step(): Promise<void> {
    const at = (cursor ??= await locate());
    const answer = answerAt(at);
    if (taking !== null && (await isThroughBefore(taking.result, answer))) return settle(taking);
    const { pulled, piece, tookMs } = await answer;
    ahead = null;
    if (pulled.kind === "stopped") return;
    if (pulled.kind === "trouble") {
      if (pulled.large && limit > 1) limit = Math.ceil(limit / 2);
      await told.away(pulled.text);
      return pause(clock, backoff.next(), signal);
    }
    const holder = deps.claims.take(pulled.kind === "resume" ? at.log : pulled.log, address);
    if (holder !== "") return leaveTo(holder);
    backoff.reset();
    if (pulled.kind === "resume") return resume(at, pulled.position);
    await told.here(pulled);
    if (pulled.log !== at.log) {
      if (at.log !== "")
        log.warn({ log: pulled.log, before: at.log }, "the redirection server has another tracking log");
      committed = await attachLog(sql, pulled.log, address);
      cursor = { log: pulled.log, position: committed };
      // Nothing was known of it, and it was asked from the beginning: the answer is the right one.
      if (pulled.kind === "other" || cursor.position !== pulled.from) return;
    }
    if (piece !== null && piece.to > piece.from) await give(piece);
    else if (tookMs < QUICK_MS) await pause(clock, QUIET_PAUSE_MS, signal);
  }

  /** Nothing of its log is counted, and nothing acknowledged. */
  async function leaveTo(holder: string): Promise<void> {
    await abandon();
    committed = 0;
    cursor = { log: "", position: 0 };
    await told.away(`its log is that of ${holder}: a copy of its folder, or the same server twice`);
    await pause(clock, backoff.next(), signal);
  }

  /** What the copy had was counted before it was put back, what came since is counted now; in between hits may be missing. */
  async function resume({ log: name, position }: Cursor, to: number): Promise<void> {
    await abandon();
    // One server says so once in a life. Two with one log behind one address would say so again and again, and be counted as often.
    if (to === resumed.to && clock.monotonic() - resumed.at < LIFE_MS) {
      await told.away("its log ends here and there: are there several servers behind this address?");
      return pause(clock, backoff.next(), signal);
    }
    resumed = { to, at: clock.monotonic() };
    const moved = await consolidator.turnBack(name, position, to);
    const facts = { log: name, position, resumed: to };
    if (moved) log.error(facts, "the tracking log ends before what was pulled from it: an old copy was put back");
    else await pause(clock, QUIET_PAUSE_MS, signal);
  }

  /** Gives a piece to be counted and asks for the next one, then waits for the one before: two are under way at most. */
  async function give(piece: Piece): Promise<void> {
    cursor = { log: piece.log, position: piece.to };
    void answerAt(cursor);
    const before = taking;
    taking = { piece, result: consolidator.take(piece) };
    taking.result.catch(() => {});
    if (before !== null) await settle(before);
  }

  /** The end of what was given; rejects when the database did not answer. */
  async function settle(given: Taking): Promise<void> {
    const { piece, result } = given;
    const taken = await result;
    if (taking === given) taking = null;
    if (taken !== "counted") {
      log.warn(
        { log: piece.log, position: piece.from, taken },
        "what was pulled is not counted here: it was counted before, or elsewhere",
      );
      await abandon();
      if (taken === "deposed") await pause(clock, QUIET_PAUSE_MS, signal);
      return;
    }
    // Another log may have taken its place meanwhile.
    if (cursor?.log === piece.log) committed = piece.to;
    limit = Math.min(deps.pullRecords, limit * 2);
  }

  /** Whatever is still under way ends, well or not, before the database is asked where to go on. */
  async function abandon(): Promise<void> {
    await taking?.result.catch(() => {});
    taking = null;
    cursor = null;
  }

  let failing = false;
  while (!signal.aborted) {
    try {
      await step();
      if (failing) log.info({}, "hits are counted again");
      failing = false;
    } catch (err) {
      await abandon();
      if (!failing && !signal.aborted) log.warn({ err }, "hits cannot be counted at the moment");
      failing = true;
      await pause(clock, backoff.next(), signal);
    }
  }
  // What was given is finished, so that whoever leads next begins behind it.
  await abandon();
}

/** Does the first end before there is an answer, well or not? */
async function isThroughBefore(result: Promise<unknown>, answer: Promise<unknown>): Promise<boolean> {
  const ends = (of: Promise<unknown>, first: boolean): Promise<boolean> =>
    of.then(
      () => first,
      () => first,
    );
  return Promise.race([ends(answer, false), ends(result, true)]);
}

function pieceOf({ log, from, body, next, lost }: Extract<Pulled, { kind: "octets" }>): Piece {
  return { log, from, body, to: next, lost };
}

interface Told {
  away(why: string): Promise<void>;
  here(answer: { readonly log: string; readonly host: string }): Promise<void>;
}

/** Writes down how it is with a server when that changes, and now and then. */
function openTold({ sql, clock }: SourceDeps, address: string, log: Log): Told {
  let state = "";
  let notedAt = Number.NEGATIVE_INFINITY;
  return {
    async away(why) {
      if (state !== "away") log.warn({ why }, "the redirection server cannot be pulled; it is asked again");
      else if (clock.monotonic() - notedAt < NOTE_MS) return;
      await noteRedirector(sql, { address, log: "", host: "", trouble: why });
      state = "away";
      notedAt = clock.monotonic();
    },
    async here({ log: name, host }) {
      if (state === name && clock.monotonic() - notedAt < NOTE_MS) return;
      if (state === "away") log.info({ host }, "the redirection server answers again");
      await noteRedirector(sql, { address, log: name, host, trouble: "" });
      state = name;
      notedAt = clock.monotonic();
    },
  };
}

/** Resolves after `ms`, or when the signal aborts. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      timer.cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal.addEventListener("abort", done, { once: true });
  });
}
