/**
 * A lane: the messages of this mta waiting for one site from one outgoing IP, and the sessions that carry them.
 *
 * A message passes `turns` (waiting, a descriptor) → `stock` (being rendered, ready) → a line's session (`lines.ts`). Only as much is rendered
 * as the lines have messages of the quota for and can take next, so memory is bounded by sessions, not by recipients, and nothing
 * is made that may not go.
 *
 * Four things keep a lane waiting, and none of them is an attempt: the quota has nothing (`blocked.ts`: shut, then parked), its IP is held for the
 * site (its messages go to another IP of the affinity if one is usable), a place in the process, memory. When no session can be had
 * from any exchanger and none is open, the site is unreachable: that is an attempt for what waits and has no other IP, and the lane rests.
 */
import type { Timer } from "../base/clock.ts";
import { type Outcome, outcome } from "../model/outcome.ts";
import { plainSite } from "../model/site-mark.ts";
import type { HoldKind, LaneKey } from "../model/traffic.ts";
import { openBlocked } from "./blocked.ts";
import { type Held, mayGo } from "./held.ts";
import type { Lane, LaneDeps } from "./lane-contract.ts";
import type { Line } from "./line.ts";
import { openLines } from "./lines.ts";
import { openPace } from "./pace.ts";
import { openRest } from "./rest.ts";
import { openStock, type Ready, sizeOf } from "./stock.ts";
import { openTurns } from "./turns.ts";

/** A lane over its capacity whose last message would wait longer than this takes no more: one slow site must not fill the window. */
const FULL_WAIT_MS = 10_000;
const FULL_MOST_MS = 60_000;
/** Of a rest that is over sooner than this nothing is given back. */
const SHORT_REST_MS = 2000;
/** When the threads could not render, for a reason of their own. */
const RENDER_AGAIN_MS = 2_000;
const LATE = outcome("expired", "local", { text: "the deadline passed while it waited" });
/** Holds of one IP at the site: another one may go. Those of quantity (`quota`, `connections`, `stat`) are waited for: they are its fair share. */
const OF_THE_IP: readonly HoldKind[] = ["suspension", "back-off", "warm-up"];

/** @param blockedSince of a lane of this name that had to go while it was parked; 0: there was none. */
export function openLane(key: LaneKey, deps: LaneDeps, blockedSince = 0): Lane {
  const { clock, traffic } = deps;
  const turns = openTurns<Held>(deps.weights);
  const pace = openPace(clock);
  const rest = openRest(clock);
  const blocked = openBlocked(clock, deps.parkMs, blockedSince);
  /** Quotas and people know the site without its TLS policy. */
  const quota: LaneKey = { ...key, site: plainSite(key.site) };
  let stopped = false;
  let inFlight = 0;
  /** The quota holds its IP for the site, as last heard; or only more connections than it has: then it goes on with these. */
  let ipHeld = OF_THE_IP.includes(traffic.hold(quota)?.kind ?? "schedule");
  let barred = ipHeld;
  let wasUsable = true;
  let wasSaturated = false;
  let wasShut = false;
  let planned = false;
  let timer: Timer | null = null;
  let timerAt = Number.POSITIVE_INFINITY;

  const demand = (): number => turns.size + stock.size;
  const stock = openStock({ render: deps.render, freeBytes: deps.freeBytes, keep, failed, changed: pumpSoon });
  const lines = openLines(
    {
      key,
      demand,
      urgent: () => turns.urgent > 0,
      standing: () => blocked.parked || barred,
      takePlace: () => deps.takePlace(lane, turns.urgent > 0),
      pump: pumpSoon,
      permitted: unblock,
      reached: rest.over,
      unreachable,
      wakeAt,
    },
    deps,
  );

  function pump(): void {
    if (stopped) return;
    if (rest.on) wakeAt(clock.monotonic() + rest.leftMs);
    else work(clock.monotonic());
    barred = ipHeld && (!lines.granted || blocked.stuck);
    if (wasUsable !== lane.usable) {
      wasUsable = lane.usable;
      deps.turned(lane);
    }
    const { saturated, shut } = lane;
    if ((wasSaturated && !saturated) || (wasShut && !shut)) deps.relieved(lane);
    wasSaturated = saturated;
    wasShut = shut;
  }

  /** Once for all that happens in one turn: a batch comes from its thread, replies come together, each says so of itself. */
  function pumpSoon(): void {
    if (planned || stopped) return;
    planned = true;
    queueMicrotask(() => {
      planned = false;
      pump();
    });
  }

  function work(now: number): void {
    if (stock.ready > 0) submitReady(now);
    renderMore(lines.fund(now));
    lines.advance(now);
    lines.grow(now);
    lines.trim(now);
    if (demand() === 0) deps.wants(lane, "");
    if (demand() > 0 && !lines.working) {
      wakeAt(blocked.mark());
      if (blocked.parked) park();
    } else if (!blocked.parked) unblock();
  }

  function unblock(): void {
    if (blocked.stuck) pace.interrupt();
    blocked.clear();
  }

  /** Whether a message still wants to be sent; one that does not has been dealt with. */
  function wanted(held: Held): boolean {
    if (!mayGo(held)) deps.giveBack(held, 0);
    else if (held.part.delivery.deadline <= clock.now()) deps.finish(held, LATE, lane, 0, true);
    else return true;
    return false;
  }

  function submitReady(now: number): void {
    for (const line of lines.all)
      while (stock.ready > 0 && lines.ready(line, now)) {
        const next = stock.next();
        if (next === undefined) return;
        if (wanted(next.held)) void carry(line, next);
        else deps.freeBytes(sizeOf(next.held));
      }
  }

  async function carry(line: Line, { held, rendered }: Ready): Promise<void> {
    const { session } = line;
    if (session === null) return;
    line.spend();
    line.idleSince = 0;
    inFlight++;
    deps.expect(held);
    const result = await session.submit({
      id: held.id,
      from: rendered.from,
      to: held.address,
      bytes: rendered.bytes,
      smtputf8: rendered.smtputf8,
    });
    inFlight--;
    pace.moved();
    deps.freeBytes(sizeOf(held));
    const { mx, ip, publicId } = session.target;
    if (result.stage !== "local")
      traffic.observe({ publicId, mx, ip, site: quota.site }, result, rendered.bytes.byteLength);
    // Refused before anything was written (SMTPUTF8, SIZE); what was held back at its dot has cost the site a transaction.
    else if (result.kind !== "unreachable") line.unspend();
    // Asked now, not before: with two messages in flight the first one may have been delivered meanwhile.
    deps.finish(held, result, lane, session.settled, false);
    if (line.left === 0 && session.inFlight === 0) void session.quit();
    pumpSoon();
  }

  function renderMore(room: number): void {
    while (turns.size > 0 && stock.size < room) {
      const held = turns.shift();
      if (held === undefined) return;
      if (!wanted(held)) continue;
      const urgent = held.part.delivery.priority === 0;
      if (!deps.takeBytes(lane, urgent, sizeOf(held))) return queue(held);
      stock.render(held);
    }
  }

  function keep(held: Held): boolean {
    if (stopped) deps.giveBack(held, clock.now() + RENDER_AGAIN_MS);
    else return lane.usable || !deps.elsewhere(held, lane);
    return false;
  }

  function failed(held: Held, error: string): void {
    if (error === "" || stopped) deps.giveBack(held, clock.now() + RENDER_AGAIN_MS);
    else deps.finish(held, outcome("unrenderable", "local", { text: error }), lane, 0, true);
  }

  function unreachable(why: Outcome): void {
    const said = rest.begin(why);
    blocked.clear();
    for (const held of takeAll()) {
      held.passed++;
      if (!deps.elsewhere(held, lane)) deps.finish(held, said, lane, 0, true);
    }
  }

  /** Back to the database: waiting costs nothing there. */
  function park(): void {
    const notBefore = blocked.notBefore(traffic.hold(quota));
    for (const held of takeAll()) deps.park(held, notBefore, lane);
  }

  function queue(held: Held): void {
    const { priority, id, weight } = held.part.delivery;
    turns.push(held, { priority, deliveryId: id, weight });
  }

  function take(match: (held: Held) => boolean): Held[] {
    return [...stock.remove(match), ...turns.remove(match)];
  }
  const takeAll = (): Held[] => take(() => true);

  /** One timer, for the earliest thing that waits for time; pump() asks again for the others. */
  function wakeAt(at: number): void {
    if (at >= timerAt || stopped) return;
    timer?.cancel();
    timerAt = at;
    timer = clock.after(at - clock.monotonic(), () => {
      timerAt = Number.POSITIVE_INFINITY;
      pump();
    });
  }

  const lane: Lane = {
    key,
    get held() {
      return demand() + inFlight;
    },
    get sessions() {
      return lines.sessions;
    },
    get idle() {
      return lines.all.size === 0 && lane.held === 0 && !rest.on && !blocked.parked && !barred;
    },
    get standing() {
      return lane.held === 0 && lines.sessions === 0 && !lane.idle;
    },
    get blockedSince() {
      return blocked.parked ? blocked.since : 0;
    },
    get saturated() {
      return demand() >= deps.capacity || lane.shut;
    },
    get shut() {
      return turns.urgent >= deps.urgentCapacity || blocked.shut || rest.on || barred;
    },
    get usable() {
      return !barred && !rest.on;
    },
    enqueue(held) {
      if (stopped) return deps.giveBack(held, 0);
      if (rest.leftMs > SHORT_REST_MS) return deps.giveBack(held, clock.now() + rest.leftMs);
      if (blocked.parked) return deps.park(held, blocked.notBefore(traffic.hold(quota)), lane);
      if (lane.held === 0) pace.reset();
      // The urgent ones overtake: the length of the queue is not their wait.
      const overtakes = held.part.delivery.priority === 0;
      const wait = turns.size >= deps.capacity && !overtakes ? pace.waitMs(turns.size) : 0;
      if (wait > FULL_WAIT_MS) {
        const notBefore = clock.now() + Math.min(wait / 2, FULL_MOST_MS);
        // The pace of a lane that waits for the quota says nothing of what comes after: these are called back when it goes again.
        const passing = blocked.stuck || pace.interrupted;
        return passing ? deps.park(held, notBefore, lane) : deps.giveBack(held, notBefore);
      }
      queue(held);
    },
    giveBack(match, notBefore) {
      for (const held of take(match)) deps.giveBack(held, notBefore);
    },
    turned() {
      const { kind, by } = traffic.hold(quota) ?? { kind: "schedule", by: "" };
      ipHeld = OF_THE_IP.includes(kind);
      lines.look();
      deps.wants(lane, kind === "connections" && demand() > 0 ? by : "");
      pump();
    },
    moveOn() {
      for (const held of takeAll()) if (!deps.elsewhere(held, lane)) queue(held);
    },
    expire(now) {
      for (const held of take(({ part }) => part.delivery.deadline <= now)) deps.finish(held, LATE, lane, 0, true);
    },
    pump,
    closeIdle: lines.closeIdle,
    report: () => ({
      site: quota.site,
      mx: key.mx,
      publicId: key.publicId,
      waiting: demand(),
      inFlight,
      sessions: lines.sessions,
      hold: rest.hold() ?? traffic.hold(quota),
    }),
    async close(signal) {
      stopped = true;
      timer?.cancel();
      deps.wants(lane, "");
      for (const held of takeAll()) deps.giveBack(held, 0);
      await lines.close(signal);
    },
  };
  return lane;
}
