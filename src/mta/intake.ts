/**
 * Intake: keeps the window filled with parts, fairly. It runs when something says there may be work (a NOTIFY, room in the window, a due
 * time, a slow tick for what was missed) and sleeps otherwise; it never asks an idle database in a loop.
 *
 * Shares: the window is divided among the deliveries that have due parts by class weight × own weight; a delivery that has less than its
 * share in memory may claim. One without due parts takes no share until it is heard of again. Transactional parts do not
 * count against the window: they are claimed whenever there are any, up to a quarter of it on top.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { MtaSettings } from "../config/settings.ts";
import * as claims from "../db/claims.ts";
import { nextDue, takeOverParts } from "../db/leases.ts";
import { finishDeliveries, startScheduled } from "../db/lifecycle.ts";
import type { Sql } from "../db/sql.ts";
import { PRIORITIES } from "../model/delivery.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Held, HeldPart } from "./held.ts";
import type { Recorder } from "./recorder.ts";

const TICK_MS = 5000;
const ACTIVE_MS = 200;
const ACTIVE_MOST = 500;
const URGENT_PARTS = 64;
const TAKE_OVER_PARTS = 50;

type Wanted = claims.ClaimRequest["wanted"][number];

export interface Intake {
  /** Something may have become due: `deliveryId` of the news, 0 for all. */
  news(deliveryId: number): void;
  /** Messages or parts left memory. */
  freed(messages: number, parts: readonly HeldPart[]): void;
  /** Drops what this process holds of a part that is not its own any more. */
  lost(part: HeldPart): void;
  readonly parts: ReadonlyMap<number, HeldPart>;
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
  saturatedDomains(): string[];
  place(messages: readonly Held[]): void;
}

export function openIntake(deps: IntakeDeps): Intake {
  const { sql, owner, clock, log, settings, deliveries, recorder } = deps;
  const parts = new Map<number, HeldPart>();
  /** Deliveries that had nothing due when last asked, until when (epoch ms) and with which domains left out. */
  const empty = new Map<number, { until: number; under: string }>();
  const shares = settings.fairness;
  const weights = PRIORITIES.map((name) => shares[name]);
  let held = 0;
  let active: claims.ActiveDelivery[] = [];
  let activeAt = 0;
  let activeStale = true;
  /** Deliveries whose last part was released: perhaps done. */
  const closing = new Set<number>();
  let urgent = true;
  let again = false;
  let running: Promise<void> | null = null;
  let stopped = false;
  let tickAt = 0;
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

  function wakeIn(ms: number): void {
    clock.after(ms, wake);
  }

  async function run(): Promise<void> {
    while (again && !stopped) {
      again = false;
      if (!deps.ready()) return;
      try {
        await tick();
        await close();
        await claimUrgent();
        await claimBulk();
        if (failing) log.info({}, "the database answers again");
        failing = false;
      } catch (error) {
        if (!failing) log.error({ err: error }, "parts cannot be claimed");
        failing = true;
        return;
      }
    }
  }

  /** The slow things: scheduled starts, finished deliveries, leases that ran out. */
  async function tick(): Promise<void> {
    const now = clock.now();
    if (now < tickAt) return;
    tickAt = now + TICK_MS;
    urgent = true;
    activeStale = true;
    await startScheduled(sql);
    await finishDeliveries(sql, "all");
    await accept(await takeOverParts(sql, owner, settings.leaseMs, TAKE_OVER_PARTS));
    for (const [id, { until }] of empty) if (until < now) empty.delete(id);
  }

  async function close(): Promise<void> {
    if (closing.size === 0) return;
    const ids = [...closing];
    closing.clear();
    await finishDeliveries(sql, ids);
  }

  async function claimUrgent(): Promise<void> {
    while (urgent && held < settings.window * 1.25) {
      urgent = false;
      const claimed = await claims.claimUrgentParts(sql, owner, settings.leaseMs, URGENT_PARTS);
      if (claimed.length === URGENT_PARTS) urgent = true;
      await accept(claimed);
    }
  }

  async function claimBulk(): Promise<void> {
    if (held > settings.window - settings.partSize) return;
    const now = clock.now();
    // Every transactional message is news: the list is not read again for each of them.
    if (activeStale && now >= activeAt + ACTIVE_MS) {
      activeAt = now;
      activeStale = false;
      active = await claims.activeDeliveries(sql, ACTIVE_MOST);
    } else if (activeStale) wakeIn(activeAt + ACTIVE_MS - now);
    const saturated = deps.saturatedDomains().toSorted();
    const under = saturated.join(" ");
    const able = active.filter((d) => {
      const nothing = empty.get(d.id);
      return nothing === undefined || nothing.until <= now || nothing.under !== under;
    });
    if (able.length === 0) return;
    const wanted = wantedParts(able, now);
    if (wanted.length === 0) return;
    const claimed = await claims.claimParts(sql, { owner, leaseMs: settings.leaseMs, wanted, saturated });
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
      const next = due.get(id) ?? Number.POSITIVE_INFINITY;
      // What is due and was not claimed lies in domains that are left out.
      const until = Math.min(now + TICK_MS, next > now ? next : Number.POSITIVE_INFINITY);
      empty.set(id, { until, under });
      if (until < now + TICK_MS) wakeIn(until - now + 1);
    }
  }

  function wantedParts(able: readonly claims.ActiveDelivery[], now: number): Wanted[] {
    const holding = new Map<number, number>();
    for (const part of parts.values()) holding.set(part.delivery.id, (holding.get(part.delivery.id) ?? 0) + part.open);
    const members = Map.groupBy(able, (d) => d.priority);
    let total = 0;
    for (const priority of members.keys()) total += weights[priority] ?? 1;
    let room = settings.window - held;
    const wanted: Wanted[] = [];
    for (const d of able) {
      const group = members.get(d.priority) ?? [];
      const ofClass = group.reduce((sum, m) => sum + m.weight, 0);
      const share = (settings.window * ((weights[d.priority] ?? 1) / total) * d.weight) / ofClass;
      const lacks = Math.min(share - (holding.get(d.id) ?? 0), room);
      const count = Math.ceil(lacks / settings.partSize);
      if (count <= 0) continue;
      wanted.push({ deliveryId: d.id, parts: count, late: d.deadline <= now });
      room -= count * settings.partSize;
      if (room <= 0) break;
    }
    return wanted;
  }

  async function accept(claimed: readonly claims.ClaimedPart[]): Promise<void> {
    if (claimed.length === 0) return;
    const [known, messages] = await Promise.all([
      deliveries.get(claimed.map((p) => p.deliveryId)),
      claims.loadMessages(sql, claimed),
    ]);
    const byPart = Map.groupBy(messages, (m) => m.partId);
    const placed: Held[] = [];
    for (const claim of claimed) {
      const delivery = known.get(claim.deliveryId);
      if (delivery === undefined) {
        log.error({ delivery: claim.deliveryId }, "a part names a delivery that cannot be read");
        continue;
      }
      const rows = byPart.get(claim.id) ?? [];
      const part: HeldPart = { claim, delivery, open: rows.length, notBefore: Infinity, dueAt: Infinity, lost: false };
      parts.set(claim.id, part);
      held += rows.length;
      if (rows.length === 0) recorder.empty(part);
      for (const row of rows) {
        const message: Held = {
          id: row.id,
          part,
          address: row.address,
          domain: row.address.slice(row.address.lastIndexOf("@") + 1),
          variables: row.variables,
          status: row.status,
          attempts: row.attempts,
          moves: 0,
        };
        if (row.suppressed !== "") recorder.exclude(message, `suppressed: ${row.suppressed}`);
        else placed.push(message);
      }
    }
    deps.place(placed);
  }

  function news(deliveryId: number): void {
    urgent = true;
    activeStale = true;
    if (deliveryId === 0) empty.clear();
    else empty.delete(deliveryId);
    wake();
  }

  return {
    news,
    freed(messages, released) {
      held -= messages;
      const now = clock.now();
      for (const part of released) {
        if (parts.get(part.claim.id) === part) parts.delete(part.claim.id);
        const { id } = part.delivery;
        if (part.dueAt === Infinity) closing.add(id);
        else if (part.dueAt - now < TICK_MS) clock.after(Math.max(1, part.dueAt - now + 1), () => news(id));
      }
      if (messages > 0 || released.length > 0) wake();
    },
    lost(part) {
      part.lost = true;
    },
    parts,
    get held() {
      return held;
    },
    async stop() {
      stopped = true;
      timer?.cancel();
      await running;
    },
  };
}
