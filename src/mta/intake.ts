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
import type { Sql } from "../db/sql.ts";
import { PRIORITIES } from "../model/delivery.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Held, HeldPart } from "./held.ts";
import type { Recorder } from "./recorder.ts";

const TICK_MS = 5000;
const ACTIVE_MOST = 500;
const URGENT_PARTS = 64;
const TAKE_OVER_PARTS = 50;

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
  /** Deliveries that had nothing due when last asked: epoch ms until which they are not asked again. */
  const empty = new Map<number, number>();
  const shares = settings.fairness;
  const weights = PRIORITIES.map((name) => shares[name]);
  let held = 0;
  let active: claims.ActiveDelivery[] = [];
  let activeAt = 0;
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

  async function run(): Promise<void> {
    while (again && !stopped) {
      again = false;
      if (!deps.ready()) return;
      try {
        await tick();
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
    activeAt = 0;
    await claims.turnDeliveries(sql);
    await accept(await claims.takeOverParts(sql, owner, settings.leaseMs, TAKE_OVER_PARTS));
    const due = await claims.nextDue(sql);
    if (due !== null && due - now < TICK_MS) clock.after(Math.max(10, due - now), () => news(0));
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
    if (activeAt === 0) {
      activeAt = now;
      active = await claims.activeDeliveries(sql, ACTIVE_MOST);
    }
    const able = active.filter((d) => (empty.get(d.id) ?? 0) <= now);
    if (able.length === 0) return;
    const wanted = wantedParts(able);
    if (wanted.length === 0) return;
    const claimed = await claims.claimParts(sql, {
      owner,
      leaseMs: settings.leaseMs,
      wanted,
      saturated: deps.saturatedDomains(),
    });
    const got = Map.groupBy(claimed, (p) => p.deliveryId);
    for (const w of wanted) if ((got.get(w.deliveryId)?.length ?? 0) < w.parts) empty.set(w.deliveryId, now + TICK_MS);
    await accept(claimed);
    if (claimed.length > 0) again = true;
  }

  function wantedParts(able: readonly claims.ActiveDelivery[]): { deliveryId: number; parts: number }[] {
    const holding = new Map<number, number>();
    for (const part of parts.values()) holding.set(part.delivery.id, (holding.get(part.delivery.id) ?? 0) + part.open);
    const members = Map.groupBy(able, (d) => d.priority);
    let total = 0;
    for (const priority of members.keys()) total += weights[priority] ?? 1;
    let room = settings.window - held;
    const wanted: { deliveryId: number; parts: number }[] = [];
    for (const d of able) {
      const group = members.get(d.priority) ?? [];
      const ofClass = group.reduce((sum, m) => sum + m.weight, 0);
      const share = (settings.window * ((weights[d.priority] ?? 1) / total) * d.weight) / ofClass;
      const lacks = Math.min(share - (holding.get(d.id) ?? 0), room);
      const count = Math.ceil(lacks / settings.partSize);
      if (count <= 0) continue;
      wanted.push({ deliveryId: d.id, parts: count });
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
      const part: HeldPart = { claim, delivery, open: rows.length, notBefore: 0, lost: false };
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
    activeAt = 0;
    if (deliveryId === 0) empty.clear();
    else empty.delete(deliveryId);
    wake();
  }

  return {
    news,
    freed(messages, released) {
      held -= messages;
      for (const part of released) if (parts.get(part.claim.id) === part) parts.delete(part.claim.id);
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
