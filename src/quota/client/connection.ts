/**
 * One connection that is held, with the messages in its hand: batches, each with an end after which it is void. The mta takes from them; when
 * half of what was asked last is gone more is asked for ahead. What lies unused for a while goes back, so that others may have it.
 */
import type { ConnectionGrant, Exchanger, LaneKey, Limits, Path } from "../../model/traffic.ts";
import type { GivenBack } from "../messages.ts";
import type { Waiter } from "./lane-holds.ts";

/** What a connection needs of the client. */
export interface ConnectionDesk {
  /** Whether a permission with this end may be used now. */
  valid(until: number): boolean;
  monotonic(): number;
  /** Asks the server for more, or takes it from the share. */
  more(conn: Connection, messages: number): void;
  /** Messages are not attempted. */
  back(conn: Connection, back: readonly GivenBack[]): void;
  closed(conn: Connection, back: readonly GivenBack[]): void;
  /** Nothing was there for the mta: it waits. */
  dry(conn: Connection): void;
  /** Asks for nothing any more. */
  revoked(conn: Connection): void;
}

interface Batch {
  readonly at: number;
  /** Server ms; -Infinity: called back. */
  until: number;
  left: number;
  taken: number;
}

export interface Connection extends Waiter {
  readonly id: number;
  readonly path: Path;
  readonly urgent: boolean;
  readonly grant: ConnectionGrant;
  counter: string;
  limits: Limits;
  readonly revoked: boolean;
  readonly closed: boolean;
  /** Number of the request for more that runs; 0: none. */
  asking: number;
  asked: number;
  /** Granted so far, what went back left out. */
  readonly granted: number;
  readonly inHand: number;
  /** Attempted, as far as is known here. */
  readonly attempted: number;
  take(at: number, until: number, messages: number): void;
  revoke(): void;
  /** Gives back what is in hand, and what the mta has of it once it says that it did not use it. */
  recall(): void;
  /** Gives back what is in hand; `unusedSince`: only if nothing was taken since then (monotonic ms). */
  giveBack(unusedSince: number): void;
}

const LEAST_ASKED = 50;
const MOST_ASKED = 200;
/** Batches that are remembered so that what was taken can come back. */
const MOST_BATCHES = 8;

export function openConnection(
  desk: ConnectionDesk,
  options: {
    id: number;
    lane: LaneKey;
    exchanger: Exchanger;
    urgent: boolean;
    counter: string;
    limits: Limits;
    granted: number;
  },
): Connection {
  const { id, lane, exchanger, urgent } = options;
  let batches: Batch[] = [];
  let granted = options.granted;
  let attempted = 0;
  let revoked = false;
  let closed = false;
  let usedAt = desk.monotonic();
  let wake: (() => void) | null = null;
  let dry = false;

  const inHand = (): number => batches.reduce((sum, { left }) => sum + left, 0);

  /** Empties the batches that `which` is true of. */
  function collect(which: (batch: Batch) => boolean): GivenBack[] {
    const back: GivenBack[] = [];
    for (const batch of batches) {
      if (batch.left === 0 || !which(batch)) continue;
      back.push([batch.at, batch.left]);
      granted -= batch.left;
      batch.left = 0;
    }
    return back;
  }

  function giveBack(which: (batch: Batch) => boolean): void {
    const back = collect(which);
    if (back.length > 0) desk.back(conn, back);
  }

  function call(): void {
    const fn = wake;
    wake = null;
    dry = false;
    fn?.();
  }

  /** More is asked for when less than half of the last batch is left and the connection may carry more. */
  function refill(wanted: number): void {
    if (conn.asking !== 0 || revoked || closed) return;
    const have = inHand();
    const room = conn.limits.messagesPerConnection - attempted - have;
    if (room < 1 || (wanted <= 0 && have * 2 >= conn.asked)) return;
    conn.asked = Math.min(room, Math.max(LEAST_ASKED, Math.min(MOST_ASKED, wanted * 4)));
    desk.more(conn, conn.asked);
  }

  const conn: Connection = {
    id,
    lane,
    urgent,
    hold: null,
    path: { publicId: lane.publicId, mx: exchanger.mx, ip: exchanger.ip },
    counter: options.counter,
    limits: options.limits,
    asking: 0,
    asked: LEAST_ASKED,
    get revoked() {
      return revoked;
    },
    get closed() {
      return closed;
    },
    get granted() {
      return granted;
    },
    get inHand() {
      return inHand();
    },
    get attempted() {
      return attempted;
    },
    take(at, until, messages) {
      batches = batches.filter(({ left, taken }, i) => left > 0 || (taken > 0 && i >= batches.length - MOST_BATCHES));
      batches.push({ at, until, left: messages, taken: 0 });
      granted += messages;
      usedAt = desk.monotonic();
      if (dry) call();
    },
    revoke() {
      if (revoked || closed) return;
      revoked = true;
      giveBack(() => true);
      desk.revoked(conn);
      call();
    },
    recall() {
      giveBack(() => true);
      for (const batch of batches) batch.until = Number.NEGATIVE_INFINITY;
    },
    giveBack(unusedSince) {
      if (usedAt <= unusedSince) giveBack(() => true);
    },
    grant: {
      exchanger,
      get limits() {
        return conn.limits;
      },
      get revoked() {
        return revoked;
      },
      messages(wanted, fn) {
        wake = fn;
        if (revoked || closed) return 0;
        giveBack(({ until }) => !desk.valid(until));
        const most = Math.max(0, Math.min(wanted, conn.limits.messagesPerConnection - attempted));
        let given = 0;
        for (const batch of batches) {
          const count = Math.min(batch.left, most - given);
          batch.left -= count;
          batch.taken += count;
          given += count;
          if (given >= most) break;
        }
        if (given > 0) usedAt = desk.monotonic();
        attempted += given;
        refill(most - given);
        dry = given === 0;
        if (dry) desk.dry(conn);
        return given;
      },
      unused(count) {
        let left = Math.min(count, attempted);
        attempted -= left;
        const late: GivenBack[] = [];
        for (const batch of batches.toReversed()) {
          const some = Math.min(left, batch.taken);
          left -= some;
          batch.taken -= some;
          if (some > 0 && (closed || revoked || !desk.valid(batch.until))) {
            granted -= some;
            late.push([batch.at, some]);
          } else batch.left += some;
        }
        if (late.length > 0 && !closed) desk.back(conn, late);
      },
      close() {
        if (closed) return;
        closed = true;
        wake = null;
        desk.closed(
          conn,
          collect(() => true),
        );
      },
    },
  };
  return conn;
}
