/**
 * One mta: claim → render → send → record, wired. Everything it needs from outside comes in `MtaDeps`; `start.ts` brings the real
 * things, tests bring others.
 *
 *     intake ──▶ sites ──▶ lane ──▶ batches ──▶ render threads
 *       ▲                   │ ◀──────────────────────┘
 *       │                   ▼
 *     database ◀─ recorder ◀─ attempt ◀─ session (permit: lease + journal)
 */
import { type Clock, sleep } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { MtaSettings, SmtpSettings } from "../config/settings.ts";
import { callParts, releaseParts, renewLeases } from "../db/leases.ts";
import { CHANNELS, type Sql } from "../db/sql.ts";
import { PRIORITIES } from "../model/delivery.ts";
import type { Outcome } from "../model/outcome.ts";
import type { Judge } from "../model/reason.ts";
import type { LaneKey, Traffic } from "../model/traffic.ts";
import type { RenderKeys, RenderPool } from "../render/pool.ts";
import { openAttempts } from "./attempt.ts";
import { openBatches } from "./batches.ts";
import { openConnect } from "./connect.ts";
import { openDeliveries } from "./deliveries.ts";
import type { HeldPart } from "./held.ts";
import { openIntake } from "./intake.ts";
import type { Journal } from "./journal.ts";
import { openLane } from "./lane.ts";
import type { Lane, LaneDeps } from "./lane-contract.ts";
import { openLease } from "./lease.ts";
import { openParked } from "./parked.ts";
import { openPlaces } from "./places.ts";
import { openRecorder } from "./recorder.ts";
import type { Resolver } from "./resolver.ts";
import type { Session, SessionEvents, SessionTarget } from "./session-contract.ts";
import { openSites } from "./sites.ts";
import type { TlsPolicies } from "./tls-policy.ts";
import { openWanted } from "./wanted.ts";

export interface MtaDeps {
  readonly settings: MtaSettings;
  /** `machine/slot`: the name under which parts are claimed. */
  readonly owner: string;
  readonly helo: string;
  readonly sql: Sql;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly journal: Journal;
  readonly traffic: Traffic;
  readonly resolver: Resolver;
  /** null: what recipient domains ask of TLS is not looked up. */
  readonly policies: Pick<TlsPolicies, "policyOf" | "refuse" | "settled"> | null;
  readonly pool: RenderPool;
  /** What replies mean, by the bounce rules in force at the moment it is asked. */
  readonly judge: Judge;
  /** Of each lane (lane-contract.ts). */
  readonly parkMs?: number;
  keys(): RenderKeys;
  /** `smtp`: with the times of the rule. */
  openSession(target: SessionTarget, smtp: SmtpSettings, events: SessionEvents): Promise<Session | Outcome>;
}

export interface Mta {
  /** Messages in memory. */
  readonly held: number;
  /**
   * Claims no more, finishes what is on the wire, records it and gives the rest back; after `graceMs` what is still in flight is cut. A
   * database that is away is waited for `recordMs` (default RECORD_MS): what it lacks then is in the journal.
   */
  drain(graceMs: number, recordMs?: number): Promise<void>;
}

const SWEEP_MS = 1000;
/** A database that is being restarted is back by then; the watchdog kills a module that drains for 30 s. */
const RECORD_MS = 10_000;
/** How often the statistics server learns what lanes wait for. */
const TELL_MS = 2000;
/** Of rendered messages in this process, waiting or on the wire: 4,000 newsletters of 30 KB, or a dozen with large attachments. */
const RENDERED_BYTES = 128 * 1024 * 1024;

export async function openMta(deps: MtaDeps): Promise<Mta> {
  const { settings, owner, sql, clock, log, journal, traffic } = deps;
  let draining = false;

  const lease = openLease({ clock, leaseMs: settings.leaseMs, log, renew, regained });
  const recorder = openRecorder({
    sql,
    owner,
    clock,
    log,
    journal,
    freed: (messages, parts) => intake.freed(messages, parts),
    lost: (part) => intake.lost(part),
  });
  const attempts = openAttempts({
    clock,
    random: deps.random,
    journal,
    recorder,
    judge: deps.judge,
    leaseHolds: lease.holds,
    standStill(at) {
      for (const each of sites.lanes) each.giveBack(() => true, at);
    },
  });
  const batches = openBatches(clock, deps.pool, settings.batch, deps.keys);
  const places = openPlaces<Lane>(settings.sessions, () => {
    for (const each of sites.lanes) each.closeIdle(() => true);
  });
  const wanted = openWanted(clock, () => sites.lanes);
  const memory = openPlaces<Lane>(RENDERED_BYTES, () => {});
  const connect = openConnect({
    clock,
    settings,
    helo: deps.helo,
    resolver: deps.resolver,
    path: (key) => sites.path(key),
    traffic,
    policies: deps.policies,
    open: deps.openSession,
    permit: (message) => attempts.permit(message.id),
  });
  const parked = openParked<Lane>();
  const sites = openSites({
    clock,
    log,
    settings,
    resolver: deps.resolver,
    policies: deps.policies,
    traffic,
    openLane: lane,
    gone: (each) => parked.forget(each),
    finish: (held, result) => finish(held, result, null, 0, true),
    giveBack: recorder.giveBack,
  });
  const deliveries = openDeliveries(sql);
  const intake = openIntake({
    sql,
    owner,
    clock,
    log,
    settings,
    deliveries,
    recorder,
    ready: () => !draining && lease.holds() && (journal.writable || journal.probe()),
    saturatedDomains: sites.saturatedDomains,
    place: sites.place,
    finish: (held, result) => attempts.finish(held, result, null, 0, true),
  });

  const finish: typeof attempts.finish = (held, result, each, before, final) => {
    // What a policy came to is counted once a domain, however many messages are told of it.
    if (result.kind === "unreachable") deps.policies?.settled(held.domain, result);
    attempts.finish(held, result, each, before, final);
  };

  function lane(key: LaneKey, blockedSince: number): Lane {
    const needs: LaneDeps = {
      clock,
      traffic,
      weights: PRIORITIES.map((name) => settings.fairness[name]),
      idleMs: settings.smtp.idleMs,
      ...(deps.parkMs !== undefined && { parkMs: deps.parkMs }),
      capacity: Math.max(settings.partSize, Math.floor(settings.window * 0.4)),
      urgentCapacity: Math.max(1, Math.floor(settings.window / 16)),
      connect,
      render: batches.render,
      finish,
      giveBack: recorder.giveBack,
      expect: attempts.expect,
      park(held, notBefore, each) {
        recorder.giveBack(held, notBefore);
        parked.add(each, held.part.claim.id);
      },
      elsewhere: (held, each) => sites.elsewhere(held, each),
      turned: (each) => sites.turned(each),
      relieved(each) {
        callBack(parked.take(each));
        intake.news(0);
      },
      takePlace: places.take,
      freePlace: () => places.free(),
      crowded: (rule) => places.crowded || wanted.has(rule),
      wants: wanted.set,
      takeBytes: memory.take,
      freeBytes: memory.free,
    };
    return openLane(key, needs, blockedSince);
  }

  /** Called back at the last sweep. */
  let called: readonly number[] = [];
  /**
   * Parts that wait in the database for a lane that may go again. They are called once more at the next sweep: one that was on its way
   * back to the database when it was called would otherwise come with its own time only.
   */
  function callBack(ids: readonly number[]): void {
    called = [...called, ...ids];
    callNow(ids);
  }
  function callNow(ids: readonly number[]): void {
    if (ids.length === 0) return;
    for (const id of ids) {
      const part = intake.parts.get(id);
      if (part !== undefined) part.notBefore = 0;
    }
    callParts(sql, ids).then(
      (count) => {
        if (count > 0) intake.news(0);
      },
      // They come by themselves when their time has come.
      (error: unknown) => log.debug({ err: error }, "parts cannot be called back"),
    );
  }

  function halt(match: (part: HeldPart) => boolean): void {
    for (const each of sites.lanes) each.giveBack((held) => match(held.part), 0);
  }

  /** Parts that are ours in the database and unknown here, at the last beat. */
  let orphans = new Map<number, number>();

  async function renew(): Promise<void> {
    // A part that is claimed while the answer is on its way is not in it, and one that is being released may be gone already.
    const before = [...intake.parts.values()];
    const ours = await renewLeases(sql, owner, settings.leaseMs);
    for (const part of before)
      if (part.open > 0 && ours.get(part.claim.id) !== part.claim.epoch) {
        log.warn({ part: part.claim.id }, "a part is another mta's now");
        intake.lost(part);
      }
    halt((part) => part.lost);
    await releaseOrphans(ours);
  }

  /**
   * A claim whose answer was lost (the database went away behind its commit) is held by nobody and would be prolonged for ever. Seen twice
   * in a row it is none that is just being loaded or released.
   */
  async function releaseOrphans(ours: ReadonlyMap<number, number>): Promise<void> {
    const unknown = new Map([...ours].filter(([id]) => !intake.busy(id)));
    const twice = [...unknown].filter(([id, epoch]) => orphans.get(id) === epoch);
    orphans = unknown;
    if (twice.length === 0) return;
    log.warn({ parts: twice.length }, "parts were claimed and never arrived here: they go back");
    await releaseParts(
      sql,
      owner,
      twice.map(([id, epoch]) => ({ id, epoch, notBefore: 0 })),
    );
    intake.news(0);
  }

  function regained(): void {
    log.info({ parts: intake.parts.size }, "the lease holds again");
    intake.news(0);
  }

  const work = await sql.listen(
    CHANNELS.work,
    (payload) => intake.news(Number(payload) || 0),
    () => intake.news(0),
  );
  const changes = await sql.listen(CHANNELS.delivery, (payload) => {
    const [id = "", state = ""] = payload.split(" ");
    if (deliveries.change(Number(id), state) && state !== "sending") halt((part) => part.delivery.id === Number(id));
    intake.news(Number(id) || 0);
  });

  /** What waits for DNS keeps its part open: the parts go back all the same, nothing of them is on a wire. */
  async function giveUpParts(): Promise<void> {
    const left = [...intake.parts.values()].filter((part) => !part.lost);
    await releaseParts(
      sql,
      owner,
      left.map((part) => ({ id: part.claim.id, epoch: part.claim.epoch, notBefore: 0 })),
    ).catch((error: unknown) =>
      log.warn(
        { err: error, parts: left.length },
        "parts stay claimed until their lease ends or this slot starts again",
      ),
    );
  }

  let sweep = clock.after(SWEEP_MS, tidy);
  let refreshAt = 0;
  let tellAt = 0;
  function tidy(): void {
    for (const each of sites.lanes) each.expire(clock.now());
    const again = called;
    called = [];
    callNow(again);
    for (const each of parked.lanes) if (!each.saturated) callBack(parked.take(each));
    sites.sweep();
    if (clock.monotonic() >= tellAt) {
      tellAt = clock.monotonic() + TELL_MS;
      traffic.tellLanes(sites.reports());
    }
    if (clock.monotonic() >= refreshAt) {
      refreshAt = clock.monotonic() + 5 * SWEEP_MS;
      // A notification lost while the database was away must not let a stopped delivery go on.
      deliveries.refresh().then(
        (halted) => {
          if (halted.length > 0) halt((part) => halted.includes(part.delivery.id));
        },
        (error: unknown) => log.debug({ err: error }, "the states of deliveries cannot be read"),
      );
    }
    sweep = clock.after(SWEEP_MS, tidy);
  }
  intake.news(0);

  return {
    get held() {
      return intake.held;
    },
    async drain(graceMs, recordMs = RECORD_MS) {
      draining = true;
      sweep.cancel();
      await Promise.allSettled([work.unlisten(), changes.unlisten()]);
      sites.close();
      await intake.stop();
      const cut = AbortSignal.timeout(graceMs);
      await Promise.all([...sites.lanes].map((each) => each.close(cut)));
      // What a thread is still rendering comes back by itself, within milliseconds.
      for (let i = 0; i < 100 && deps.pool.running > 0; i++) await sleep(20);
      await recorder.flush(AbortSignal.timeout(recordMs));
      if (recorder.backlog === 0) await giveUpParts();
      recorder.close();
      lease.close();
      log.info({ unrecorded: recorder.backlog }, "drained");
    },
  };
}
