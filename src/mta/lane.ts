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
import type { Timer } from "../base/clock.ts";
import { type Outcome, outcome } from "../model/outcome.ts";
import type { ConnectionGrant, LaneKey } from "../model/traffic.ts";
import type { Rendered, RenderResult } from "../render/contract.ts";
import { type Held, mayGo } from "./held.ts";
import type { Lane, LaneDeps } from "./lane-contract.ts";
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
/** Messages rendered beyond what the sessions of a busy lane take next: two batches a thread; with 64 tasks were small and 10 % slower. */
const AHEAD = 128;
/** When the threads could not render, for a reason of their own. */
const RENDER_AGAIN_MS = 2_000;
const LATE = outcome("expired", "local", { text: "the deadline passed while it waited" });

/** About what a rendered message takes: its content with attachments in base64 is most of it. */
const sizeOf = (held: Held): number => held.part.delivery.content.json.byteLength + 4096;
/** Messages asked of the quota at once: a quota server may be far away. */
const GRANT = 50;

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
  let wasShut = false;
  let timer: Timer | null = null;
  let timerAt = Number.POSITIVE_INFINITY;

  const demand = (): number => turns.size + rendering + ready.length;

  function pump(): void {
    if (stop.signal.aborted) return;
    const now = clock.monotonic();
    submitReady();
    if (restUntil > now) {
      wasSaturated = true;
      wasShut = true;
      return wakeAt(restUntil);
    }
    renderMore();
    openMore(now);
    closeSpent(now);
    if (demand() > 0 && Number.isFinite(ceilingUntil)) wakeAt(ceilingUntil);
    const { saturated, shut } = lane;
    if ((wasSaturated && !saturated) || (wasShut && !shut)) deps.relieved();
    wasSaturated = saturated;
    wasShut = shut;
  }

  /** Whether a message still wants to be sent; one that does not has been dealt with. */
  function wanted(held: Held): boolean {
    if (!mayGo(held)) deps.giveBack(held, 0);
    else if (held.part.delivery.deadline <= clock.now()) deps.finish(held, LATE, lane, 0, true);
    else return true;
    return false;
  }

  function submitReady(): void {
    for (const line of lines) {
      while (ready.length > 0 && line.session.room > 0 && line.submitted < line.grant.limits.messagesPerConnection) {
        const next = ready.shift();
        if (next === undefined) return;
        if (wanted(next.held)) void carry(line, next);
        else unspend(next.held);
      }
    }
  }

  async function carry(line: Line, { held, rendered }: Ready): Promise<void> {
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
    deps.freeBytes(sizeOf(held));
    // Asked now, not before: with two messages in flight the first one may have been delivered meanwhile.
    deps.finish(held, result, lane, line.session.settled, false);
    pump();
  }

  function renderMore(): void {
    // Twice what the sessions take: while one message is on the wire the next one is made; a busy lane keeps the threads fed besides.
    let room = 2 * opening + (lines.size >= 4 ? AHEAD : 0);
    for (const line of lines) room += 2 + line.session.room;
    while (turns.size > 0 && rendering + ready.length < room) {
      const held = turns.shift();
      if (held === undefined) return;
      if (!wanted(held)) continue;
      const urgent = held.part.delivery.priority === 0;
      if (!deps.takeBytes(lane, urgent, sizeOf(held))) {
        queue(held);
        break;
      }
      if (!spend()) {
        deps.freeBytes(sizeOf(held));
        queue(held);
        if (blockedSince > 0 && clock.monotonic() - blockedSince >= PARK_MS)
          lane.giveBack(() => true, clock.now() + PARK_MS);
        break;
      }
      rendering++;
      void deps.render(held).then((rendered) => take(held, rendered));
    }
    if (turns.size === 0 && granted > 0) {
      traffic.unused(key, granted);
      granted = 0;
    }
  }

  function take(held: Held, rendered: RenderResult): void {
    rendering--;
    if ("from" in rendered && !stop.signal.aborted) {
      if (held.part.delivery.priority === 0) ready.unshift({ held, rendered });
      else ready.push({ held, rendered });
    } else {
      unspend(held);
      if (!("error" in rendered) || stop.signal.aborted) deps.giveBack(held, clock.now() + RENDER_AGAIN_MS);
      else deps.finish(held, outcome("unrenderable", "local", { text: rendered.error }), lane, 0, true);
    }
    pump();
  }

  /** One message of the quota. */
  function spend(): boolean {
    if (granted === 0) granted = traffic.messages(key, Math.min(GRANT, turns.size + 1), unblock);
    if (granted === 0) {
      if (blockedSince === 0) blockedSince = clock.monotonic();
      wakeAt(blockedSince + PARK_MS);
      return false;
    }
    blockedSince = 0;
    granted--;
    return true;
  }

  /** Gives back what was taken for a message that is not sent now: its memory and its message of the quota. */
  function unspend(held: Held): void {
    deps.freeBytes(sizeOf(held));
    traffic.unused(key, 1);
  }

  function unblock(): void {
    blockedSince = 0;
    pump();
  }

  function openMore(now: number): void {
    const limits = traffic.limits(key);
    if (now >= ceilingUntil) {
      ceiling = lines.size + opening + 1;
      ceilingUntil = ceiling < limits.connections ? now + CEILING_MS : Number.POSITIVE_INFINITY;
      if (ceiling >= limits.connections) ceiling = Number.POSITIVE_INFINITY;
    }
    const most = Math.min(limits.connections, ceiling);
    const wish = Math.min(demand(), Math.ceil(limits.connections * (1 - Math.exp(-0.023 * demand()))), most);
    while (lines.size + opening < wish && opening < Math.max(1, lines.size)) {
      if (!deps.takePlace(lane, turns.urgent > 0)) return;
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
    } else if (stop.signal.aborted || result.ended) {
      const { ended } = result;
      result.destroy();
      grant.close();
      deps.freePlace();
      if (ended) refused(outcome("unreachable", "ehlo", { text: "the server hung up behind its greeting" }));
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
    const now = clock.monotonic();
    if (lines.size > 0 || opening > 0) {
      ceiling = Math.max(1, lines.size);
      ceilingUntil = now + CEILING_MS;
      return;
    }
    restUntil = now + Math.min(REST_MOST_MS, REST_MS * 2 ** failures++);
    const said = why.kind === "unreachable" ? why : { ...why, kind: "unreachable" as const };
    for (const { held } of ready.splice(0)) {
      unspend(held);
      deps.finish(held, said, lane, 0, true);
    }
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
      else if (now - line.idleSince >= deps.idleMs || deps.crowded()) void session.quit();
      if (line.idleSince > 0) earliest = Math.min(earliest, line.idleSince + deps.idleMs);
    }
    if (Number.isFinite(earliest)) wakeAt(Math.max(earliest, now + 1));
  }

  function queue(held: Held): void {
    const { priority, id, weight } = held.part.delivery;
    turns.push(held, { priority, deliveryId: id, weight });
  }

  function takeReady(match: (held: Held) => boolean): Ready[] {
    const taken = ready.filter(({ held }) => match(held));
    if (taken.length > 0) ready.splice(0, ready.length, ...ready.filter(({ held }) => !match(held)));
    return taken;
  }

  /** One timer, for the earliest thing that waits for time; pump() asks again for the others. */
  function wakeAt(at: number): void {
    if (at >= timerAt || stop.signal.aborted) return;
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
      return lines.size + opening;
    },
    get idle() {
      return lines.size === 0 && opening === 0 && demand() === 0 && inFlight === 0 && restUntil <= clock.monotonic();
    },
    get saturated() {
      return demand() >= deps.capacity || lane.shut;
    },
    get shut() {
      return turns.urgent >= deps.urgentCapacity || blockedSince > 0 || restUntil > clock.monotonic();
    },
    enqueue(held) {
      if (stop.signal.aborted) return deps.giveBack(held, 0);
      const rest = restUntil - clock.monotonic();
      if (rest > 2000) return deps.giveBack(held, clock.now() + rest);
      if (lane.held === 0) pace.reset();
      // The urgent ones overtake: the length of the queue is not their wait.
      const overtakes = held.part.delivery.priority === 0;
      const wait = turns.size >= deps.capacity && !overtakes ? pace.waitMs(turns.size) : 0;
      if (wait > FULL_WAIT_MS) return deps.giveBack(held, clock.now() + Math.min(wait / 2, FULL_MOST_MS));
      queue(held);
    },
    giveBack(match, notBefore) {
      for (const held of turns.remove(match)) deps.giveBack(held, notBefore);
      for (const { held } of takeReady(match)) {
        unspend(held);
        deps.giveBack(held, notBefore);
      }
    },
    expire(now) {
      const late = (held: Held): boolean => held.part.delivery.deadline <= now;
      for (const held of turns.remove(late)) deps.finish(held, LATE, lane, 0, true);
      for (const { held } of takeReady(late)) {
        unspend(held);
        deps.finish(held, LATE, lane, 0, true);
      }
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
