/**
 * Going on without the server. What was granted stays good; requests are met from this process's share of each counter (share.ts), and of
 * what back-offs, warm-ups and suspensions left when the server went (curbs.ts), first come first served, urgent ones before; connections
 * over the share are given up after a moment. Behind the horizon nothing goes any more.
 *
 * The horizon begins when the server last proved that it heard us, so it ends before the server gives our share to others.
 */
import type { Exchanger, Hold, LaneKey, Limits } from "../../model/traffic.ts";
import type { GivenBack } from "../messages.ts";
import { HAND_MS } from "../pace.ts";
import type { Connection } from "./connection.ts";
import { type Under, connectionsUnder, curbed } from "./curbs.ts";
import { type Desk, type Pending, counterOf } from "./desk.ts";

export interface Alone {
  readonly since: number;
  /** Monotonic ms. */
  readonly horizonAt: number;
  /** Meets what can be met now. When to look again (monotonic ms), Infinity: nobody waits. */
  serve(): number;
  /** Messages of the connection are not attempted. */
  back(conn: Connection, back: readonly GivenBack[]): void;
}

/** What a path goes by: the limits of its rule, the counter they are counted in, and the curbs it is under. */
interface Terms {
  readonly limits: Limits;
  readonly counter: string;
  readonly unders: readonly Under[];
}

/** Messages that may be taken, with their window; with none, when to look again and what is in the way. */
interface Room {
  readonly messages: number;
  readonly at: number;
  readonly until: number;
  readonly nextAt: number;
  readonly hold: Hold | null;
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
  const { time, usage, shares, curbs } = desk;
  const since = desk.monotonic();
  const horizonAt = Math.max(since, options.proofAt + options.horizonMs * SLOWER - EARLIER_MS);
  const { guardMs, wall } = options;
  let over = false;
  usage.mark(time.early(since));
  curbs.mark(time.early(since));
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

  function termsOf({ site, publicId }: LaneKey, { mx, ip }: Exchanger): Terms {
    const { limits } = shares.rule(mx, publicId);
    const unders = curbs.over(site, publicId, mx, time.early(desk.monotonic()));
    return { limits, counter: counterOf(limits, { publicId }, ip), unders };
  }

  function room({ limits, counter, unders }: Terms): Room {
    const now = desk.monotonic();
    const late = time.late(now) + guardMs;
    const found = shares.messages(counter, limits, time.early(now), late);
    let { messages, until } = found;
    let opensAt = messages < 1 ? found.nextAt : Number.NEGATIVE_INFINITY;
    let by: Hold | null = null;
    for (const under of unders) {
      const left = curbs.room(under, limits, shares.members, found.at);
      if (left.messages < 1) {
        by ??= under.curb.hold;
        opensAt = Math.max(opensAt, left.nextAt);
      }
      messages = Math.min(messages, left.messages);
      until = Math.min(until, Math.floor(late) + HAND_MS);
    }
    if (limits.bytesPerSecond === 0 || messages < 1) return { ...found, messages, until, nextAt: opensAt, hold: by };
    const use = usage.debtOf(counter);
    const rate = limits.bytesPerSecond / Math.max(1, shares.members);
    use.debt = Math.max(0, use.debt - (rate * (now - use.debtAt)) / 1000);
    use.debtAt = now;
    const most = use.debt > 0 ? 0 : Math.max(1, Math.floor(rate / AVERAGE_BYTES));
    const nextAt = time.early(now) + (use.debt * 1000) / rate;
    return { at: found.at, until, messages: Math.min(messages, most), nextAt, hold: null };
  }

  const later = (): number => time.early(desk.monotonic()) + AGAIN_MS;

  function spend({ counter, limits, unders }: Terms, messages: number): void {
    if (limits.bytesPerSecond > 0) usage.debtOf(counter).debt += messages * AVERAGE_BYTES;
    curbs.spend(unders, messages);
  }

  /** A curb under which there are as many connections as may be: none where nothing may go. */
  function crowded({ limits, unders }: Terms, more: number): Under | undefined {
    return unders.find((under) => under.conns + more > connectionsUnder(under, limits, shares.members));
  }

  /** When it may be met, Infinity when only a connection that ends can help. null: it was met. */
  function meet(pending: Pending): number | null {
    const { lane, exchangers } = pending;
    let again = Number.POSITIVE_INFINITY;
    let by: Hold | null = null;
    for (const exchanger of exchangers) {
      const terms = termsOf(lane, exchanger);
      const { limits, counter, unders } = terms;
      const shut = crowded(terms, 1);
      if (shut !== undefined) {
        by ??= shut.curb.hold;
        again = Math.min(again, shut.curb.until || Number.POSITIVE_INFINITY);
        continue;
      }
      if (usage.connections(counter) >= shares.connections(counter, limits)) continue;
      const { messages, at, until, nextAt, hold: why } = room(terms);
      if (messages < 1) {
        by ??= why;
        again = Math.min(again, nextAt);
        continue;
      }
      if (!options.may()) return later();
      const left = curbed(limits, unders);
      const count = Math.min(messages, BATCH, left.messagesPerConnection);
      spend(terms, count);
      for (const under of unders) under.conns++;
      desk.hand(pending, exchanger, left, at, until, count);
      return null;
    }
    desk.holds.set(pending, by ?? hold());
    return again;
  }

  function supply(conn: Connection): number | null {
    const terms = termsOf(conn.lane, conn.path);
    const { messages, at, until, nextAt, hold: shut } = room(terms);
    if (messages < 1) {
      if (conn.inHand === 0) desk.holds.set(conn, shut ?? hold());
      return nextAt;
    }
    if (!options.may()) return later();
    const count = Math.min(messages, BATCH, conn.asked);
    spend(terms, count);
    desk.supply(conn, at, until, count);
    return null;
  }

  /** Behind the grace neither a counter nor a curb has more connections than the share of it. */
  function giveUpExcess(): void {
    curbs.uncount();
    const seen = new Map<string, number>();
    for (const conn of desk.conns.values()) {
      if (conn.revoked) continue;
      const terms = termsOf(conn.lane, conn.path);
      const count = (seen.get(conn.counter) ?? 0) + 1;
      seen.set(conn.counter, count);
      for (const under of terms.unders) under.conns++;
      if (count > shares.connections(conn.counter, terms.limits) || crowded(terms, 0) !== undefined) conn.revoke();
    }
  }

  function countUnder(): void {
    if (curbs.idle) return;
    curbs.uncount();
    for (const conn of desk.conns.values()) for (const under of termsOf(conn.lane, conn.path).unders) under.conns++;
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
    back(conn, back) {
      if (!curbs.idle) curbs.back(termsOf(conn.lane, conn.path).unders, back);
    },
    serve() {
      const now = desk.monotonic();
      if (over) return Number.POSITIVE_INFINITY;
      if (now >= horizonAt) {
        end();
        return Number.POSITIVE_INFINITY;
      }
      if (now >= since + GRACE_MS) giveUpExcess();
      countUnder();
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
