/**
 * The lines of a lane (`line.ts`): how many there are, what they may carry, when they open and close. Everything here is moved by the
 * lane's `pump`; a grant, a call of the quota, an opened or ended session call it.
 */
import { type Outcome, outcome } from "../model/outcome.ts";
import { plainSite } from "../model/site-mark.ts";
import type { ConnectionGrant, LaneKey, Limits } from "../model/traffic.ts";
import { openGrowth } from "./growth.ts";
import type { LaneDeps } from "./lane-contract.ts";
import { type Line, makeLine } from "./line.ts";
import type { Session } from "./session-contract.ts";

/** Messages rendered beyond what the sessions of a busy lane take next: two batches a thread; with 64 tasks were small and 10 % slower. */
const AHEAD = 128;
const BUSY = 4;
/** A connection granted to a parked lane waits so long for its messages to come from the database. */
const GRACE_MS = 2000;
/** A revoked session that nothing is submitted to may stay open for so long. */
const TRIM_MS = 50;

export interface LinesOwner {
  readonly key: LaneKey;
  /** Messages waiting, being rendered and ready. */
  demand(): number;
  urgent(): boolean;
  /** A connection is wanted though no message is here: they wait in the database. */
  standing(): boolean;
  takePlace(): boolean;
  pump(): void;
  /** At least one message may go. */
  permitted(): void;
  /** A session was had. */
  reached(): void;
  /** No exchanger gives a session, and none is open or being opened. */
  unreachable(why: Outcome): void;
  wakeAt(at: number): void;
}

export interface Lines {
  /** Lines in every state; those whose `session` is not null may be submitted to. */
  readonly all: ReadonlySet<Line>;
  /** Sessions, open or being opened. */
  readonly sessions: number;
  /** Something moves or can move: a session works, opens, or has messages in hand. */
  readonly working: boolean;
  /** A connection is granted and not revoked. */
  readonly granted: boolean;
  /** Asks the quota for the messages the lines can use now; how many may be rendered or ready. */
  fund(now: number): number;
  /** Opens what is granted and can be used, gives up what cannot. */
  advance(now: number): void;
  /** Asks for more connections, or takes back what was asked. */
  grow(now: number): void;
  /** Ends sessions that are revoked, used up or idle; looks at them every TRIM_MS, and when nothing waits. */
  trim(now: number): void;
  /** At the next `trim` they are looked at. */
  look(): void;
  ready(line: Line, now: number): boolean;
  closeIdle(match: (rule: string) => boolean): void;
  /** Nothing new; resolves when all sessions are closed. */
  close(signal: AbortSignal): Promise<void>;
}

type Wants = Pick<LaneDeps, "clock" | "traffic" | "connect" | "freePlace" | "idleMs" | "crowded">;

export function openLines(owner: LinesOwner, deps: Wants): Lines {
  const { clock } = deps;
  const { key } = owner;
  const all = new Set<Line>();
  const growth = openGrowth();
  let closed = false;
  let open = 0;
  let placed = 0;
  /** As last told, and how many addresses the quota could choose from. */
  let limits: Limits | null = null;
  let choice = 1;
  /** Lines that are granted and not being opened yet. */
  let undecided = 0;
  let trimAt = 0;
  /** Messages each line was to have in hand, when last counted. */
  let each = 1;

  function wake(): void {
    if (!closed) owner.pump();
  }

  /** The quota calls: there are messages again, or the grant is revoked. */
  function called(): void {
    trimAt = 0;
    wake();
  }

  async function run(line: Line): Promise<void> {
    const events = {
      change: () => changed(line),
      granted: (grant: ConnectionGrant, among: number) => granted(line, grant, among),
      failed: () => drop(line),
    };
    const result = await deps.connect(key, owner.urgent(), events, line.stop.signal);
    if (result === null) remove(line);
    else if ("kind" in result) {
      remove(line);
      refused(result);
    } else opened(line, result);
    wake();
  }

  function opened(line: Line, session: Session): void {
    const { mx, ip, publicId } = session.target;
    if (closed) {
      session.destroy();
      remove(line);
    } else if (session.ended) {
      remove(line);
      const why = outcome("unreachable", "ehlo", {
        text: "the server hung up behind its greeting",
        mx,
        remoteIp: ip,
        publicId,
      });
      deps.traffic.observe({ publicId, mx, ip, site: plainSite(key.site) }, why, 0);
      refused(why);
    } else {
      line.opened(session);
      open++;
      owner.reached();
    }
  }

  function granted(line: Line, grant: ConnectionGrant, among: number): Promise<boolean> {
    line.begin(grant);
    if (closed || line.stop.signal.aborted) return Promise.resolve(false);
    ({ limits } = grant);
    choice = among;
    return new Promise((resolve) => {
      line.go = resolve;
      undecided++;
      owner.pump();
    });
  }

  function decide(line: Line, yes: boolean): void {
    const { go } = line;
    if (go === null) return;
    undecided--;
    line.go = null;
    go(yes);
  }

  /** Gives back everything the line has; it may be granted another connection. */
  function drop(line: Line): void {
    if (line.session !== null) open--;
    line.end();
    if (!line.placed) return;
    line.placed = false;
    placed--;
    deps.freePlace();
  }

  function remove(line: Line): void {
    if (!all.delete(line)) return;
    drop(line);
  }

  function refused(why: Outcome): void {
    if (closed) return;
    for (const { grant } of all) if (grant !== null) return growth.refused(open, clock.monotonic());
    for (const line of all) line.stop.abort();
    owner.unreachable(why);
  }

  function changed(line: Line): void {
    if (line.session?.ended === true) remove(line);
    wake();
  }

  const isShort = (line: Line): boolean => line.grant !== null && !line.dry && line.permits * 1.5 < each;

  /** Asks until `each` are in hand, of `uncovered` messages that nothing is in hand for; how many came. */
  function supply(line: Line, uncovered: number, now: number): number {
    if (!isShort(line)) return 0;
    const standing = owner.standing();
    // A parked lane asks for one, to know that the others may come.
    const short = uncovered <= 0 && standing && line.permits === 0 ? 1 : uncovered;
    if (short <= 0) return 0;
    const got = line.fund(Math.min(each, line.permits + short), now, called);
    if (got === 0) return 0;
    if (standing) line.graceUntil = now + GRACE_MS;
    owner.permitted();
    return got;
  }

  function advance(now: number): void {
    if (undecided === 0) return;
    for (const line of all) {
      if (line.go === null || line.grant === null) continue;
      if (line.grant.revoked) decide(line, false);
      else if (owner.demand() > 0) {
        if (line.permits === 0) continue;
        if (!owner.takePlace()) return;
        line.placed = true;
        placed++;
        decide(line, true);
      } else if (line.graceUntil > now) owner.wakeAt(line.graceUntil);
      // The dry one of a parked lane stays: the quota calls it when there are messages again.
      else if (!(line.dry && owner.standing())) decide(line, false);
    }
  }

  return {
    all,
    get sessions() {
      return placed;
    },
    get working() {
      for (const { session, permits, placed: has } of all)
        if (permits > 0 || (has && (session === null || session.inFlight > 0))) return true;
      return false;
    },
    get granted() {
      for (const { grant } of all) if (grant?.revoked === false) return true;
      return false;
    },
    fund(now) {
      const demand = owner.demand();
      if (demand === 0 && !owner.standing()) return 0;
      let room = open >= BUSY ? AHEAD : 0;
      let able = 0;
      let inHand = 0;
      let short = false;
      for (const line of all) {
        if (line.grant === null) continue;
        able++;
        inHand += line.permits;
        short ||= isShort(line);
        // Twice what the sessions take: while one message is on the wire the next one is made.
        room += 2 + (line.session?.room ?? 0);
      }
      if (able === 0) return 0;
      each = Math.ceil((1.5 * room) / able);
      if (!short) return Math.min(room, inHand);
      for (const line of all) inHand += supply(line, demand - inHand, now);
      return Math.min(room, inHand);
    },
    advance,
    grow(now) {
      const demand = owner.demand();
      const standing = owner.standing();
      if (demand === 0) {
        for (const line of all) {
          if (line.graceUntil <= now) line.unfund();
          // Nobody waits any more: the place in the quota's line is another's.
          if (!standing && line.grant === null) line.stop.abort();
        }
      }
      const limit = limits === null ? 1 : limits.connections * (limits.scope === "path" ? choice : 1);
      const wish = Math.max(growth.wish(limit, demand, open, now), standing ? 1 : 0);
      while (all.size < wish && all.size - open < Math.max(1, open)) {
        const line = makeLine();
        all.add(line);
        void run(line);
      }
      if (demand > 0 && Number.isFinite(growth.againAt)) owner.wakeAt(growth.againAt);
    },
    trim(now) {
      let earliest = Number.POSITIVE_INFINITY;
      const demand = owner.demand();
      if (demand > 0 && now < trimAt) return owner.wakeAt(trimAt);
      trimAt = now + TRIM_MS;
      for (const line of all) {
        const { session, grant } = line;
        if (session === null || grant === null || session.ended) continue;
        if (grant.revoked) {
          line.unfund();
          void session.quit();
        }
        if (session.inFlight > 0) continue;
        if (line.left === 0) void session.quit();
        else if (demand > 0 && !(line.dry && line.permits === 0)) line.idleSince = 0;
        else if (line.idleSince === 0) line.idleSince = now;
        else if (now - line.idleSince >= deps.idleMs || deps.crowded(grant.limits.rule)) void session.quit();
        if (line.idleSince > 0) earliest = Math.min(earliest, line.idleSince + deps.idleMs);
      }
      if (Number.isFinite(earliest)) owner.wakeAt(Math.max(earliest, now + 1));
    },
    look() {
      trimAt = 0;
    },
    ready: (line, now) => line.ready(now, called),
    closeIdle(match) {
      const waiting = owner.demand() > 0;
      for (const { session, dry, permits, grant } of all) {
        if (session?.inFlight !== 0 || (waiting && !(dry && permits === 0))) continue;
        if (match(grant?.limits.rule ?? "")) void session.quit();
      }
    },
    async close(signal) {
      closed = true;
      for (const line of all) {
        if (line.session !== null) continue;
        line.stop.abort();
        decide(line, false);
      }
      const cut = (): void => {
        for (const { session } of all) session?.destroy();
      };
      signal.addEventListener("abort", cut, { once: true });
      if (signal.aborted) cut();
      await Promise.all([...all].map(({ session }) => session?.quit()));
    },
  };
}
