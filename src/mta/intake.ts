/**
 * Intake: keeps the window filled with parts, fairly. It runs when something says there may be work (a NOTIFY, room in the window, a due
 * time, a slow tick for what was missed) and sleeps otherwise; it never asks an idle database in a loop.
 *
 * Shares (shares.ts): the window is divided among the deliveries that have due parts. Transactional parts have a window of their own,
 * a quarter as large, and are claimed before anything else.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { MtaSettings } from "../config/settings.ts";
import * as claims from "../db/claims.ts";
import { nextDue, releaseParts, takeOverParts } from "../db/leases.ts";
import { finishDeliveries, startScheduled } from "../db/lifecycle.ts";
import type { Sql } from "../db/sql.ts";
import { PRIORITIES } from "../model/delivery.ts";
import { outcome, type Outcome } from "../model/outcome.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Held, HeldPart } from "./held.ts";
import type { Recorder } from "./recorder.ts";
import { openShares } from "./shares.ts";

const TICK_MS = 5000;
/** Closing what nobody noticed to be done: everything is looked through, so rarely. */
const SWEEP_MS = 60_000;
const ACTIVE_MS = 200;
/** Deliveries of each class that share the window at once. */
const ACTIVE_MOST = 200;
const URGENT_PARTS = 64;
const CLAIM_PARTS = 3;
const TAKE_OVER_PARTS = 200;

export interface Intake {
  /** Something may have become due: `deliveryId` of the news, 0 for all. */
  news(deliveryId: number): void;
  /** Messages or parts left memory. */
  freed(messages: readonly HeldPart[], released: readonly HeldPart[]): void;
  /** Drops what this process holds of a part that is not its own any more. */
  lost(part: HeldPart): void;
  readonly parts: ReadonlyMap<number, HeldPart>;
  /** Ours in the database, and not in `parts` yet or any more. */
  busy(partId: number): boolean;
  /** Messages in memory. */
  readonly held: number;
  stop(): Promise<void>;
}

export interface IntakeDeps {
  readonly sql: Sql;
  readonly owner: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: MtaSettings;
  readonly deliveries: Deliveries;
  readonly recorder: Recorder;
  /** False: nothing may be claimed now (journal, lease, draining). */
  ready(): boolean;
  /** Domains that take no more from this affinity. */
  saturatedDomains(affinity: string, urgent: boolean): string[];
  place(messages: readonly Held[]): void;
  finish(held: Held, outcome: Outcome): void;
}

export function openIntake(deps: IntakeDeps): Intake {
  const { sql, owner, clock, log, settings, deliveries, recorder } = deps;
  const { leaseMs, partSize, window } = settings;
  const parts = new Map<number, HeldPart>();
  /** Claimed, and being loaded. */
  const loading = new Set<number>();
  /** Deliveries that had nothing due when last asked, until when (monotonic) and with which domains left out. */
  const empty = new Map<number, { until: number; under: string }>();
  const shares = openShares(PRIORITIES.map((name) => settings.fairness[name]));
  const urgentWindow = Math.max(1, Math.floor(window / 4));
  let heldBulk = 0;
  let heldUrgent = 0;
  let active: claims.ActiveDelivery[] = [];
  let activeAt = 0;
  let activeStale = true;
  /** Deliveries whose last part was released: perhaps done. */
  const closing = new Set<number>();
  let urgent = true;
  let runningUrgent: Promise<void> | null = null;
  let again = false;
  let running: Promise<void> | null = null;
  let stopped = false;
  let tickAt = 0;
  let sweepAt = 0;
  let complainAt = 0;
  let failing = false;
  let timer: Timer | null = null;

  function wake(): void {
    again = true;
    if (running !== null || stopped) return;
    running = run().finally(() => {
      running = null;
      if (!stopped) {
        timer?.cancel();
        timer = clock.after(failing ? 1000 : TICK_MS, wake);
      }
    });
  }

  /** The list is read again: a delivery that had nothing due may have been left out of it. */
  function wakeIn(ms: number): void {
    clock.after(ms, () => {
      activeStale = true;
      wake();
    });
  }

  async function run(): Promise<void> {
    while (again && !stopped) {
      again = false;
      if (!deps.ready()) return;
      try {
        await close();
        await claimBulk();
        await tick();
        if (failing) log.info({}, "the database answers again");
        failing = false;
      } catch (error) {
        if (!failing) log.error({ err: error }, "parts cannot be claimed");
        failing = true;
        return;
      }
    }
  }

  /** The slow things: scheduled starts, leases that ran out, what was missed. */
  async function tick(): Promise<void> {
    const now = clock.monotonic();
    if (now < tickAt) return;
    tickAt = now + TICK_MS;
    wakeUrgent();
    activeStale = true;
    again = true;
    if ((await startScheduled(sql)).length > 0) empty.clear();
    if (now >= sweepAt) {
      sweepAt = now + SWEEP_MS;
      await finishDeliveries(sql, "all");
    }
    for (let full = true; full && deps.ready();) {
      const taken = await takeOverParts(sql, owner, leaseMs, TAKE_OVER_PARTS);
      await accept(taken);
      full = taken.length === TAKE_OVER_PARTS && heldBulk < window;
    }
    for (const [id, { until }] of empty) if (until < now) empty.delete(id);
  }

  async function close(): Promise<void> {
    if (closing.size === 0) return;
    const ids = [...closing];
    closing.clear();
    await finishDeliveries(sql, ids);
  }

  /** Beside the other loop: an urgent message does not wait until a thousand others are loaded. */
  function wakeUrgent(): void {
    urgent = true;
    if (runningUrgent !== null || stopped) return;
    runningUrgent = claimUrgent()
      .catch((error: unknown) => log.debug({ err: error }, "urgent parts cannot be claimed"))
      .finally(() => (runningUrgent = null));
  }

  async function claimUrgent(): Promise<void> {
    while (urgent && !stopped && heldUrgent < urgentWindow && deps.ready()) {
      urgent = false;
      const saturated = settings.affinities.flatMap(({ name }) => deps.saturatedDomains(name, true));
      const limit = Math.min(URGENT_PARTS, urgentWindow - heldUrgent);
      const claimed = await claims.claimUrgentParts(sql, { owner, leaseMs, saturated }, limit);
      await accept(claimed);
      if (claimed.length === limit) urgent = true;
    }
  }

  async function claimBulk(): Promise<void> {
    if (heldBulk > Math.max(0, window - partSize)) return;
    const now = clock.monotonic();
    // Every transactional message is news: the list is not read again for each of them.
    if (activeStale && now >= activeAt + ACTIVE_MS) {
      activeAt = now;
      activeStale = false;
      active = await claims.activeDeliveries(sql, ACTIVE_MOST);
      complain(now);
    } else if (activeStale) wakeIn(activeAt + ACTIVE_MS - now);
    for (const { name } of settings.affinities) await claimFor(name);
  }

  /** A delivery whose affinity is gone from the settings is never sent from another one: it waits, and somebody must know. */
  function complain(now: number): void {
    const lost = active.filter(({ affinity }) => settings.affinities.every(({ name }) => name !== affinity));
    const [first] = lost;
    if (first === undefined || now < complainAt) return;
    complainAt = now + SWEEP_MS;
    log.error(
      { deliveries: lost.length, delivery: first.id, affinity: first.affinity },
      "deliveries are held: their affinity is not in the settings any more",
    );
  }

  async function claimFor(affinity: string): Promise<void> {
    const now = clock.now();
    const saturated = deps.saturatedDomains(affinity, false).toSorted();
    const under = saturated.join(" ");
    const able = active.filter((d) => {
      if (d.affinity !== affinity) return false;
      const nothing = empty.get(d.id);
      return nothing === undefined || nothing.until <= clock.monotonic() || nothing.under !== under;
    });
    const holding = new Map<number, number>();
    for (const part of parts.values()) holding.set(part.delivery.id, (holding.get(part.delivery.id) ?? 0) + part.open);
    // A few parts at a time: rows of thousands keep the event loop from everything else for too long.
    const room = Math.min(window - heldBulk, CLAIM_PARTS * partSize);
    const granted = shares.out(able, { window, room, partSize, holding });
    if (granted.length === 0) return;
    const wanted = granted.map((w) => ({
      ...w,
      late: (able.find((d) => d.id === w.deliveryId)?.deadline ?? 0) <= now,
    }));
    const claimed = await claims.claimParts(sql, { owner, leaseMs, wanted, saturated });
    const got = Map.groupBy(claimed, (p) => p.deliveryId);
    await accept(claimed);
    const dry = wanted.filter((w) => (got.get(w.deliveryId)?.length ?? 0) < w.parts).map((w) => w.deliveryId);
    await restUntilDue(dry, under);
    if (claimed.length > 0) again = true;
  }

  /** These had no more due parts: they are not asked again before the next of them is due, or a tick has passed, or there is news. */
  async function restUntilDue(ids: readonly number[], under: string): Promise<void> {
    if (ids.length === 0) return;
    const due = await nextDue(sql, ids);
    const now = clock.now();
    for (const id of ids) {
      const inMs = (due.get(id) ?? Number.POSITIVE_INFINITY) - now;
      // What is due and was not claimed lies in domains that are left out.
      const restMs = Math.min(TICK_MS, inMs > 0 ? inMs : Number.POSITIVE_INFINITY);
      empty.set(id, { until: clock.monotonic() + restMs, under });
      if (restMs < TICK_MS) wakeIn(restMs + 1);
    }
  }

  async function accept(claimed: readonly claims.ClaimedPart[]): Promise<void> {
    if (claimed.length === 0) return;
    for (const { id } of claimed) loading.add(id);
    try {
      const [known, messages] = await Promise.all([
        deliveries.get(claimed.map((p) => p.deliveryId)),
        claims.loadMessages(sql, claimed),
      ]);
      const byPart = Map.groupBy(messages, (m) => m.partId);
      const placed: Held[] = [];
      for (const claim of claimed) {
        const read = known.get(claim.deliveryId);
        if (read === undefined)
          throw new Error(`part ${claim.id} names delivery ${claim.deliveryId}, which is not there`);
        const delivery = deliveries.hold(read);
        const rows = byPart.get(claim.id) ?? [];
        const part: HeldPart = {
          claim,
          delivery,
          open: rows.length,
          notBefore: Infinity,
          dueAt: Infinity,
          lost: false,
        };
        parts.set(claim.id, part);
        count(part, rows.length);
        if (rows.length === 0) recorder.empty(part);
        for (const row of rows) admit(part, row, placed);
      }
      deps.place(placed);
    } catch (error) {
      // What was claimed and cannot be loaded goes back; if that fails too, the next renewals find it.
      const back = claimed.filter(({ id }) => !parts.has(id)).map(({ id, epoch }) => ({ id, epoch, notBefore: 0 }));
      await releaseParts(sql, owner, back).catch((err: unknown) =>
        log.debug({ err }, "claims stay until a renewal finds them"),
      );
      throw error;
    } finally {
      for (const { id } of claimed) loading.delete(id);
    }
  }

  function admit(part: HeldPart, row: claims.LoadedMessage, placed: Held[]): void {
    const message: Held = {
      id: row.id,
      part,
      address: row.address,
      domain: row.address.slice(row.address.lastIndexOf("@") + 1),
      variables: row.variables,
      status: row.status,
      attempts: row.attempts,
      moves: 0,
      passed: 0,
    };
    if (row.suppressed !== "") recorder.exclude(message, `suppressed: ${row.suppressed}`);
    else if (part.delivery.deadline <= clock.now())
      deps.finish(message, outcome("expired", "local", { text: "the deadline passed before it could be sent" }));
    else placed.push(message);
  }

  function count(part: HeldPart, change: number): void {
    if (part.delivery.priority === 0) heldUrgent += change;
    else heldBulk += change;
  }

  function news(deliveryId: number): void {
    wakeUrgent();
    activeStale = true;
    if (deliveryId === 0) empty.clear();
    else empty.delete(deliveryId);
    wake();
  }

  return {
    news,
    freed(messages, released) {
      for (const part of messages) count(part, -1);
      const now = clock.now();
      for (const part of released) {
        if (parts.get(part.claim.id) === part) parts.delete(part.claim.id);
        deliveries.release(part.delivery);
        const { id } = part.delivery;
        if (part.dueAt === Infinity) closing.add(id);
        else if (part.dueAt - now < TICK_MS) clock.after(Math.max(1, part.dueAt - now + 1), () => news(id));
      }
      if (urgent && heldUrgent < urgentWindow) wakeUrgent();
      if (messages.length > 0 || released.length > 0) wake();
    },
    lost(part) {
      part.lost = true;
    },
    parts,
    busy: (partId) => loading.has(partId) || parts.has(partId),
    get held() {
      return heldBulk + heldUrgent;
    },
    async stop() {
      stopped = true;
      timer?.cancel();
      await Promise.all([running, runningUrgent]);
    },
  };
}
