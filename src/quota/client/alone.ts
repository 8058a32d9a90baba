/**
 * Going on without the server. What was granted stays good; requests are met from this process's share of each counter (share.ts), first
 * come first served, urgent ones before; connections over the share are given up after a moment. Behind the horizon nothing goes any more.
 *
 * The horizon begins when the server last proved that it heard us, so it ends before the server gives our share to others.
 */
import type { Hold, Limits } from "../../model/traffic.ts";
import type { Connection } from "./connection.ts";
import { type Desk, type Pending, counterOf } from "./desk.ts";

export interface Alone {
  readonly since: number;
  /** Monotonic ms. */
  readonly horizonAt: number;
  /** Meets what can be met now. When to look again (monotonic ms), Infinity: nobody waits. */
  serve(): number;
  /** Messages of connections that asked for more, in the order of asking: part of `serve`. */
  hold(): Hold;
}

/** The connections stay for a moment: most losses are over in it. */
const GRACE_MS = 5000;
/** Where the use of the share cannot be noted down it is not used; tried again after this. */
const AGAIN_MS = 5000;
/** Taken from the share at once. */
const BATCH = 20;
/** The server's clock and ours pass a horizon differently. */
const SLOWER = 0.985;
const EARLIER_MS = 2000;
/** Octets of a message, where the rate of octets is limited. */
const AVERAGE_BYTES = 20_000;

export function goAlone(
  desk: Desk,
  options: {
    proofAt: number;
    horizonMs: number;
    silenceMs: number;
    guardMs: number;
    wall: number;
    /** Notes down that the share is used, for a process after this one. False: it could not. */
    may: () => boolean;
    say: (text: string) => void;
  },
): Alone {
  const { time, usage, shares } = desk;
  const since = desk.monotonic();
  const horizonAt = Math.max(since, options.proofAt + options.horizonMs * SLOWER - EARLIER_MS);
  const { guardMs, wall } = options;
  let over = false;
  usage.mark(time.early(since));
  // Heard last, lost after the silence at the latest; half of it more for what was on its way.
  shares.aloneFrom(time.late(since) + options.silenceMs * 1.5);

  function hold(): Hold {
    const text = over
      ? "no statistics server answers, and the time for which this machine goes on without one has passed"
      : shares.members === 0
        ? "no statistics server answers, and this machine has no share yet"
        : "no statistics server answers, and this machine's share is used up";
    return { kind: "stat", by: "", text, since: wall, until: 0 };
  }

  /** Messages that may be taken now for a counter, with their window. */
  function room(counter: string, limits: Limits): { messages: number; at: number; until: number; nextAt: number } {
    const now = desk.monotonic();
    const found = shares.messages(counter, limits, time.early(now), time.late(now) + guardMs);
    if (limits.bytesPerSecond === 0 || found.messages < 1) return found;
    const use = usage.debtOf(counter);
    const rate = limits.bytesPerSecond / Math.max(1, shares.members);
    use.debt = Math.max(0, use.debt - (rate * (now - use.debtAt)) / 1000);
    use.debtAt = now;
    if (use.debt === 0)
      return { ...found, messages: Math.min(found.messages, Math.max(1, Math.floor(rate / AVERAGE_BYTES))) };
    return { ...found, messages: 0, nextAt: time.early(now) + (use.debt * 1000) / rate };
  }

  const later = (): number => time.early(desk.monotonic()) + AGAIN_MS;

  function spend(counter: string, limits: Limits, messages: number): void {
    if (limits.bytesPerSecond > 0) usage.debtOf(counter).debt += messages * AVERAGE_BYTES;
  }

  /** When it may be met, Infinity when only a connection that ends can help. null: it was met. */
  function meet(pending: Pending): number | null {
    const { lane, exchangers } = pending;
    let again = Number.POSITIVE_INFINITY;
    for (const exchanger of exchangers) {
      const limits = desk.limits(lane, exchanger);
      const counter = counterOf(limits, lane, exchanger.ip);
      const stop = shares.stop(lane.site, lane.publicId, exchanger, time.early(desk.monotonic()));
      if (stop !== null) {
        desk.holds.set(pending, stop);
        return stop.until === 0 ? Number.POSITIVE_INFINITY : stop.until;
      }
      if (usage.connections(counter) >= shares.connections(counter, limits)) continue;
      const { messages, at, until, nextAt } = room(counter, limits);
      again = Math.min(again, nextAt);
      if (messages < 1) continue;
      if (!options.may()) return later();
      const count = Math.min(messages, BATCH, limits.messagesPerConnection);
      spend(counter, limits, count);
      desk.hand(pending, exchanger, limits, at, until, count);
      return null;
    }
    desk.holds.set(pending, hold());
    return again;
  }

  function supply(conn: Connection): number | null {
    const { messages, at, until, nextAt } = room(conn.counter, conn.limits);
    if (messages < 1) {
      if (conn.inHand === 0) desk.holds.set(conn, hold());
      return nextAt;
    }
    if (!options.may()) return later();
    const count = Math.min(messages, BATCH, conn.asked);
    spend(conn.counter, conn.limits, count);
    desk.supply(conn, at, until, count);
    return null;
  }

  /** Behind the grace no counter has more connections than the share of it. */
  function giveUpExcess(): void {
    const seen = new Map<string, number>();
    for (const conn of desk.conns.values()) {
      if (conn.revoked) continue;
      const count = (seen.get(conn.counter) ?? 0) + 1;
      seen.set(conn.counter, count);
      if (count > shares.connections(conn.counter, conn.limits)) conn.revoke();
    }
  }

  function end(): void {
    over = true;
    shares.forget();
    options.say("the horizon has passed without a statistics server: nothing more is sent");
    for (const conn of desk.conns.values()) conn.revoke();
    for (const pending of desk.pending.values()) desk.holds.set(pending, hold());
  }

  return {
    since,
    horizonAt,
    hold,
    serve() {
      const now = desk.monotonic();
      if (over) return Number.POSITIVE_INFINITY;
      if (now >= horizonAt) {
        end();
        return Number.POSITIVE_INFINITY;
      }
      if (now >= since + GRACE_MS) giveUpExcess();
      let again = Number.POSITIVE_INFINITY;
      const meetAll = (urgent: boolean): void => {
        for (const pending of desk.pending.values()) {
          if (pending.urgent !== urgent) continue;
          const at = meet(pending);
          if (at !== null) again = Math.min(again, at);
        }
      };
      if (shares.members > 0) {
        meetAll(true);
        for (const conn of Array.from(desk.mores.values()))
          again = Math.min(again, supply(conn) ?? Number.POSITIVE_INFINITY);
        meetAll(false);
      } else for (const pending of desk.pending.values()) desk.holds.set(pending, hold());
      const next = again === Number.POSITIVE_INFINITY ? again : Math.max(now + 20, time.surely(again, now));
      return Math.min(next, horizonAt, now < since + GRACE_MS ? since + GRACE_MS : Number.POSITIVE_INFINITY);
    },
  };
}
