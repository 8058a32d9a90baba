/**
 * Leading, where one process of many does something (statistics servers, workflows): the one that holds the lease in a table of leaders.
 * It prolongs it three times a lease; the others look again when it would end.
 *
 * The leader stops by its own clock, a tenth of the lease before the database would let another begin: the lease counts from the moment the
 * prolongation was *asked for*, on a clock that only ever passes. So it stops too when the database is away or does not answer: until then
 * it leads on, afterwards nobody does. (Clients of a statistics server go on by their shares meanwhile; a machine whose database is away claims no mail
 * either.) `holds()` is asked before everything done as a leader, because a process that was frozen for a while finds its timers late.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { openServerTime, type ServerTime } from "../base/server-time.ts";
import { type LeaderState, type LeaderTable, releaseLead, renewLead, takeLead } from "./leader.ts";
import type { Sql } from "./sql.ts";

export interface Lead {
  readonly epoch: number;
  /** From this epoch on nobody else has led: what this process knew at the end of one of them is the newest there is. */
  readonly since: number;
  readonly time: ServerTime;
}

export interface LeadershipDeps {
  readonly sql: Sql;
  readonly table: LeaderTable;
  /** On which those who stand by are told `leader` when the lease is given back. */
  readonly channel: string;
  /** What leads, for the log: `statistics server`. */
  readonly what: string;
  /** Name of this one, as it stands in the table and is told to clients: host:port of a server. */
  readonly server: string;
  readonly leaderMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** 0…1. */
  readonly random: () => number;
  /** This one leads. */
  begin(lead: Lead): void;
  /** It does not lead any more; called once for each `begin`, before another may begin. */
  end(lead: Lead, why: string): void;
}

export interface Leadership {
  /** Who led at the last look, '' when nobody did. */
  readonly leader: string;
  /** Does this one lead now? When its time is over, `end` has been called before this returns false. */
  holds(): boolean;
  /** Somebody gave up the lead: looks at once. */
  nudge(): void;
  /** Ends the lead here; the row stays until `close` or the end of the lease. Another try is made a second later. */
  resign(why: string): void;
  /** Stops leading (`end` is called), runs `last` while the row is still ours, then gives the row back. Never rejects. */
  close(last: (lead: Lead) => Promise<void>): Promise<void>;
}

const MARGIN = 0.1;
const RESIGNED_MS = 1000;
const FAILED_MS = 500;
/** Those who stand by do not ask all at once. */
const SPREAD_MS = 50;
const MOST_UNANSWERED = 4;
/** What the end of this process waits for the database: others take over by themselves. */
const CLOSE_MS = 3000;

export function openLeadership(deps: LeadershipDeps): Leadership {
  const { sql, table, what, server, leaderMs, clock, log } = deps;
  let lead: Lead | null = null;
  /** By `monotonic`, and by the wall clock: a machine that slept did not count the one, but the other. */
  let until = 0;
  let wallUntil = 0;
  let lapse: Timer | null = null;
  /** The highest epoch that was ours: once this server has stopped, its lease may be taken again at once. */
  let own = -1;
  let since = 0;
  let unanswered = 0;
  let leader = "";
  let closed = false;
  let timer: Timer | null = null;
  let failing = false;
  let nudged = false;
  let looking: Promise<void> | null = null;

  async function look(): Promise<void> {
    const askedAt = clock.monotonic();
    const askedWall = clock.now();
    const held = lead;
    let againMs: number;
    try {
      // A connection that a firewall forgot must not cost the lease: there is time to ask again, over another one.
      const state = await within(leaderMs / 4, () => ask(held));
      if (failing) log.info({}, `the lease of the leading ${what} can be read again`);
      failing = false;
      againMs = closed ? 0 : heard(held, state, askedAt, askedWall);
    } catch (err) {
      if (!failing && !closed)
        log.warn({ err, leading: lead !== null }, `the lease of the leading ${what} cannot be asked for`);
      failing = true;
      againMs = Math.min(FAILED_MS, leaderMs / 20);
    }
    plan(againMs);
  }

  /** An answer that comes too late is none: nobody here counts the time of a lead taken by it, but it may be taken again at once. */
  async function take(): Promise<LeaderState> {
    const state = await takeLead(sql, table, server, leaderMs, own);
    if (state.ours) {
      if (state.epoch !== own + 1) since = state.epoch;
      own = state.epoch;
    }
    return state;
  }

  /** Questions that a silent database never answers are not piled up. */
  async function ask(held: Lead | null): Promise<LeaderState | null> {
    if (unanswered >= MOST_UNANSWERED) throw new Error("the database has not answered the last questions yet");
    unanswered++;
    try {
      return await (held === null ? take() : renewLead(sql, table, held.epoch, leaderMs));
    } finally {
      unanswered--;
    }
  }

  /** What the database said; in how many ms to look again. */
  function heard(held: Lead | null, state: LeaderState | null, askedAt: number, askedWall: number): number {
    if (held !== null && held !== lead) return 0; // it lapsed while we asked
    if (state === null) {
      stop(`the lease is another ${what}'s`);
      return 0;
    }
    leader = state.leftMs > 0 ? state.server : "";
    if (!state.ours) return Math.min(Math.max(state.leftMs, 0), leaderMs) + deps.random() * SPREAD_MS;
    until = askedAt + leaderMs * (1 - MARGIN);
    wallUntil = askedWall + leaderMs * (1 - MARGIN);
    watch();
    if (lead === null) {
      lead = { epoch: state.epoch, since, time: openServerTime(clock, state.now, askedAt) };
      log.info({ server, epoch: lead.epoch }, `this ${what} leads`);
      deps.begin(lead);
    } else {
      const errorMs = lead.time.hear(state.now, askedAt);
      if (Math.abs(errorMs) > 1000)
        log.warn({ errorMs: Math.round(errorMs) }, "the database's clock is not where it was; following slowly");
    }
    return leaderMs / 3;
  }

  async function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
    const timeout = Promise.withResolvers<never>();
    const cut = clock.after(ms, () => timeout.reject(new Error(`no answer in ${ms} ms`)));
    try {
      return await Promise.race([work(), timeout.promise]);
    } finally {
      cut.cancel();
    }
  }

  /** Timers are cut to whole milliseconds and may fire a little early: then there is a rest to wait for. */
  function watch(): void {
    lapse?.cancel();
    lapse = clock.after(Math.max(0, Math.ceil(until - clock.monotonic())), () => holds() && watch());
  }

  function holds(): boolean {
    if (lead === null) return false;
    if (clock.monotonic() < until && clock.now() < wallUntil) return true;
    stop("the lease could not be prolonged in time");
    plan(0);
    return false;
  }

  function stop(why: string): void {
    if (lead === null) return;
    const ended = lead;
    lead = null;
    lapse?.cancel();
    log[closed ? "info" : "warn"]({ server, epoch: ended.epoch, why }, `this ${what} does not lead any more`);
    deps.end(ended, why);
  }

  function plan(ms: number): void {
    timer?.cancel();
    if (closed) return;
    timer = clock.after(nudged ? 0 : ms, () => {
      nudged = false;
      // One question at a time: what is planned while one is out is planned again by its answer.
      looking ??= look().finally(() => (looking = null));
    });
  }

  plan(0);
  return {
    get leader() {
      return leader;
    },
    holds,
    nudge() {
      if (lead !== null || closed) return;
      nudged = looking !== null;
      if (looking === null) plan(0);
    },
    resign(why) {
      stop(why);
      plan(RESIGNED_MS);
    },
    async close(last) {
      closed = true;
      timer?.cancel();
      const ended = lead;
      stop("it is going");
      try {
        await looking;
        await within(CLOSE_MS, async () => {
          if (ended !== null) await last(ended);
          if (own >= 0) await releaseLead(sql, table, own, deps.channel);
        });
      } catch (err) {
        log.warn({ err }, "the lead could not be given back: another one takes it when the lease ends");
      }
    },
  };
}
