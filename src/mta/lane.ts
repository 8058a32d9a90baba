/**
 * A lane: the messages of this mta waiting for one site from one outgoing IP, and the sessions that carry them.
 *
 * A message passes `turns` (waiting, a descriptor) → `rendering` → `ready` (bytes) → a session. Only as much is rendered as the open and
 * opening sessions can take next, so memory is bounded by sessions, not by recipients. Sessions grow with the demand along
 * limit × (1 − e^(−0.023 × demand)) (the curve KumoMTA uses: 1 for 1 message, a quarter for 12, 90 % for 100) and at most doubling.
 *
 * When no session can be had from any exchanger and none is open, the site is unreachable: what waits gets that outcome, and the lane
 * rests, 4 s doubling to 5 min (spec modules.md §4.4 initialDelaySec). When some are open and another is refused, the lane
 * has found the site's own limit: it goes on with what it has and tries one more after half a minute.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { type Outcome, outcome } from "../model/outcome.ts";
import type { ConnectionGrant, LaneKey, Traffic } from "../model/traffic.ts";
import type { Rendered } from "../render/contract.ts";
import { type Held, mayGo } from "./held.ts";
import type { Session } from "./session-contract.ts";
import { openPace } from "./pace.ts";
import { openTurns } from "./turns.ts";

const REST_MS = 4000;
const REST_MOST_MS = 300_000;
const CEILING_MS = 30_000;
/** A lane whose quota is spent gives its messages back to the database after this long: waiting must cost no memory. */
const PARK_MS = 10_000;
/** A lane over its capacity whose last message would wait longer than this takes no more: one slow site must not fill the window. */
const FULL_WAIT_MS = 10_000;
const FULL_MOST_MS = 60_000;
/** Messages asked of the quota at once: a quota server may be far away. */
const GRANT = 50;

export interface LaneDeps {
  readonly clock: Clock;
  readonly traffic: Traffic;
  readonly weights: readonly number[];
  readonly idleMs: number;
  /** Messages this lane takes before it is saturated. */
  readonly capacity: number;
  /** A session to any exchanger of the site, or what the last of them said. Never rejects. */
  connect(key: LaneKey, events: { change(): void }, signal: AbortSignal): Promise<Session | Outcome>;
  render(held: Held): Promise<Rendered>;
  /** What an attempt came to. */
  finish(held: Held, outcome: Outcome, lane: Lane, deliveredBefore: number, final: boolean): void;
  giveBack(held: Held, notBefore: number): void;
  /** The lane was saturated and takes messages again. */
  relieved(): void;
  /** The message is about to be submitted to a session. */
  expect(held: Held): void;
  /** A place among all sessions of the process; false: none is free now, `change` is called when one is. */
  takePlace(lane: Lane): boolean;
  freePlace(): void;
}

export interface Lane {
  readonly key: LaneKey;
  /** Waiting, rendering, ready or in flight. */
  readonly held: number;
  readonly sessions: number;
  readonly idle: boolean;
  /** Takes no more: quota spent, resting or full. */
  readonly saturated: boolean;
  enqueue(held: Held): void;
  /** Gives back what matches and is not in flight. */
  giveBack(match: (held: Held) => boolean, notBefore: number): void;
  /** Gives back what is past its deadline through finish(). */
  expire(now: number): void;
  pump(): void;
  /** Closes idle sessions now: another lane needs their places. */
  closeIdle(): void;
  /** Takes nothing new; resolves when all sessions are closed, those in flight after `signal` are cut. */
  close(signal: AbortSignal): Promise<void>;
}

interface Line {
  readonly session: Session;
  readonly grant: ConnectionGrant;
  submitted: number;
  idleSince: number;
}

interface Ready {
  readonly held: Held;
  readonly rendered: Extract<Rendered, { from: string }>;
}

export function openLane(key: LaneKey, deps: LaneDeps): Lane {
  const { clock, traffic } = deps;
  const turns = openTurns<Held>(deps.weights);
  const pace = openPace(clock);
  const ready: Ready[] = [];
  const lines = new Set<Line>();
  const stop = new AbortController();
  let opening = 0;
  let rendering = 0;
  let inFlight = 0;
  let granted = 0;
  let restUntil = 0;
  let failures = 0;
  let ceiling = Number.POSITIVE_INFINITY;
  let ceilingUntil = Number.POSITIVE_INFINITY;
  let blockedSince = 0;
  let wasSaturated = false;
  let timer: Timer | null = null;
  let timerAt = Number.POSITIVE_INFINITY;

  const demand = (): number => turns.size + rendering + ready.length;

  function pump(): void {
    if (stop.signal.aborted) return;
    const now = clock.now();
    submitReady();
    if (restUntil > now) {
      wasSaturated = true;
      return wakeAt(restUntil);
    }
    renderMore();
    openMore(now);
    closeSpent(now);
    if (demand() > 0 && Number.isFinite(ceilingUntil)) wakeAt(ceilingUntil);
    const { saturated } = lane;
    if (wasSaturated && !saturated) deps.relieved();
    wasSaturated = saturated;
  }

  function submitReady(): void {
    for (const line of lines) {
      while (ready.length > 0 && line.session.room > 0 && line.submitted < line.grant.limits.messagesPerConnection) {
        const next = ready.shift();
        if (next === undefined) return;
        if (!mayGo(next.held)) {
          unspend(1);
          deps.giveBack(next.held, 0);
          continue;
        }
        void carry(line, next);
      }
    }
  }

  async function carry(line: Line, { held, rendered }: Ready): Promise<void> {
    const before = line.session.settled;
    line.submitted++;
    line.idleSince = 0;
    inFlight++;
    deps.expect(held);
    const result = await line.session.submit({
      id: held.id,
      from: rendered.from,
      to: held.address,
      bytes: rendered.bytes,
      smtputf8: rendered.smtputf8,
    });
    inFlight--;
    pace.moved();
    deps.finish(held, result, lane, before, false);
    pump();
  }

  function renderMore(): void {
    // Twice what the sessions take: while one message is on the wire the next one is made.
    let room = 2 * opening;
    for (const line of lines) room += 2 + line.session.room;
    while (turns.size > 0 && rendering + ready.length < room && spend()) {
      const held = turns.shift();
      if (held === undefined) return;
      if (!mayGo(held)) {
        unspend(1);
        deps.giveBack(held, 0);
        continue;
      }
      rendering++;
      void deps.render(held).then((rendered) => {
        rendering--;
        if (!("from" in rendered)) {
          unspend(1);
          deps.finish(held, outcome("unrenderable", "local", { text: rendered.error }), lane, 0, true);
        } else if (stop.signal.aborted) deps.giveBack(held, 0);
        else if (held.part.delivery.priority === 0) ready.unshift({ held, rendered });
        else ready.push({ held, rendered });
        pump();
      });
    }
    if (turns.size === 0 && granted > 0) {
      unspend(granted);
      granted = 0;
    }
  }

  /** One message of the quota. */
  function spend(): boolean {
    if (granted === 0) granted = traffic.messages(key, Math.min(GRANT, turns.size), unblock);
    if (granted === 0) {
      if (blockedSince === 0) {
        blockedSince = clock.now();
        wakeAt(blockedSince + PARK_MS);
      } else if (clock.now() - blockedSince >= PARK_MS) lane.giveBack(() => true, clock.now() + PARK_MS);
      return false;
    }
    blockedSince = 0;
    granted--;
    return true;
  }

  const unspend = (count: number): void => traffic.unused(key, count);

  function unblock(): void {
    blockedSince = 0;
    pump();
  }

  function openMore(now: number): void {
    const limits = traffic.limits(key);
    if (now >= ceilingUntil) {
      if (ceiling < limits.connections) ceiling = lines.size + 1;
      ceilingUntil = Number.POSITIVE_INFINITY;
    }
    const most = Math.min(limits.connections, ceiling);
    const wanted = Math.min(demand(), Math.ceil(limits.connections * (1 - Math.exp(-0.023 * demand()))), most);
    while (lines.size + opening < wanted && opening < Math.max(1, lines.size)) {
      if (!deps.takePlace(lane)) return;
      void open();
    }
  }

  async function open(): Promise<void> {
    opening++;
    const grant = await traffic.connection(key, stop.signal);
    if (grant === null || demand() === 0) {
      opening--;
      deps.freePlace();
      grant?.close();
      return;
    }
    const result = await deps.connect(key, { change }, stop.signal);
    opening--;
    if ("kind" in result) {
      grant.close();
      deps.freePlace();
      refused(result);
    } else if (stop.signal.aborted) {
      result.destroy();
      grant.close();
      deps.freePlace();
    } else {
      failures = 0;
      lines.add({ session: result, grant, submitted: 0, idleSince: 0 });
    }
    pump();
  }

  function change(): void {
    for (const line of lines)
      if (line.session.ended) {
        lines.delete(line);
        line.grant.close();
        deps.freePlace();
      }
    pump();
  }

  function refused(why: Outcome): void {
    if (stop.signal.aborted) return;
    if (lines.size > 0 || opening > 0) {
      ceiling = Math.max(1, lines.size);
      ceilingUntil = clock.now() + CEILING_MS;
      return;
    }
    restUntil = clock.now() + Math.min(REST_MOST_MS, REST_MS * 2 ** failures++);
    const said = why.kind === "unreachable" ? why : { ...why, kind: "unreachable" as const };
    for (const { held } of ready.splice(0)) deps.finish(held, said, lane, 0, true);
    for (let held = turns.shift(); held !== undefined; held = turns.shift()) deps.finish(held, said, lane, 0, true);
  }

  function closeSpent(now: number): void {
    let earliest = Number.POSITIVE_INFINITY;
    for (const line of lines) {
      const { session } = line;
      if (session.inFlight > 0 || session.ended) continue;
      if (line.submitted >= line.grant.limits.messagesPerConnection) void session.quit();
      else if (demand() > 0) line.idleSince = 0;
      else if (line.idleSince === 0) line.idleSince = now;
      else if (now - line.idleSince >= deps.idleMs) void session.quit();
      if (line.idleSince > 0) earliest = Math.min(earliest, line.idleSince + deps.idleMs);
    }
    if (Number.isFinite(earliest)) wakeAt(Math.max(earliest, now + 1));
  }

  /** One timer, for the earliest thing that waits for time; pump() asks again for the others. */
  function wakeAt(at: number): void {
    if (at >= timerAt || stop.signal.aborted) return;
    timer?.cancel();
    timerAt = at;
    timer = clock.after(at - clock.now(), () => {
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
      return lines.size + opening;
    },
    get idle() {
      return lines.size === 0 && opening === 0 && demand() === 0 && inFlight === 0 && restUntil <= clock.now();
    },
    get saturated() {
      return demand() >= deps.capacity || blockedSince > 0 || restUntil > clock.now();
    },
    enqueue(held) {
      if (stop.signal.aborted) return deps.giveBack(held, 0);
      if (restUntil > clock.now() + 2000) return deps.giveBack(held, restUntil);
      if (lane.held === 0) pace.reset();
      const { priority, id, weight } = held.part.delivery;
      // The urgent ones overtake: the length of the queue is not their wait.
      const wait = turns.size >= deps.capacity && priority > 0 ? pace.waitMs(turns.size) : 0;
      if (wait > FULL_WAIT_MS) return deps.giveBack(held, clock.now() + Math.min(wait / 2, FULL_MOST_MS));
      turns.push(held, { priority, deliveryId: id, weight });
    },
    giveBack(match, notBefore) {
      for (const held of turns.remove(match)) deps.giveBack(held, notBefore);
      for (let i = ready.length - 1; i >= 0; i--) {
        const entry = ready[i];
        if (entry !== undefined && match(entry.held)) {
          ready.splice(i, 1);
          unspend(1);
          deps.giveBack(entry.held, notBefore);
        }
      }
    },
    expire(now) {
      const late = outcome("expired", "local", { text: "the deadline passed while it waited" });
      for (const held of turns.remove((h) => h.part.delivery.deadline <= now)) deps.finish(held, late, lane, 0, true);
    },
    pump,
    closeIdle() {
      for (const { session } of lines) if (session.inFlight === 0 && demand() === 0) void session.quit();
    },
    async close(signal) {
      stop.abort();
      timer?.cancel();
      lane.giveBack(() => true, 0);
      const cut = (): void => {
        for (const { session } of lines) session.destroy();
      };
      signal.addEventListener("abort", cut, { once: true });
      if (signal.aborted) cut();
      await Promise.all([...lines].map(({ session }) => session.quit()));
    },
  };
  return lane;
}
