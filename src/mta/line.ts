/**
 * A line: one connection of a lane and its permission. It is asked for at the quota, granted, given messages, given a place among the
 * sessions of the process, opened, carries messages, and ends. Messages are spent on its grant as they are submitted; what is in hand
 * and not used within a quarter of a second is given back and asked for anew, so that a permission never outlives its period.
 */
import type { ConnectionGrant } from "../model/traffic.ts";
import type { Session } from "./session-contract.ts";

/** How long messages may lie in hand before they are asked for anew. */
const FRESH_MS = 250;

export interface Line {
  /** null until it is granted. */
  readonly grant: ConnectionGrant | null;
  /** null until it is open. */
  readonly session: Session | null;
  /** Messages in hand. */
  readonly permits: number;
  /** The quota has no more messages for it now; it calls when it has. */
  readonly dry: boolean;
  /** Messages it may still carry. */
  readonly left: number;
  /** Aborts what it waits for. */
  readonly stop: AbortController;
  /** Monotonic ms; 0: it is not idle. */
  idleSince: number;
  /** Until then it waits for messages that are on their way, though none is there. */
  graceUntil: number;
  placed: boolean;
  /** Says whether the granted connection is to be opened. */
  go: ((open: boolean) => void) | null;
  begin(grant: ConnectionGrant): void;
  opened(session: Session): void;
  /** Asks for messages until `wanted` are in hand; how many came. `wake`: asking again is worth it, or the grant is revoked. */
  fund(wanted: number, now: number, wake: () => void): number;
  /** Gives the messages in hand back. */
  unfund(): void;
  /** True when a message may be submitted; then `spend` it. */
  ready(now: number, wake: () => void): boolean;
  spend(): void;
  /** What was spent was not attempted after all. */
  unspend(): void;
  /** Gives back the messages in hand and the connection. */
  end(): void;
}

export function makeLine(): Line {
  let grant: ConnectionGrant | null = null;
  let session: Session | null = null;
  let permits = 0;
  let fundedAt = 0;
  let submitted = 0;
  let dry = false;

  const line: Line = {
    get grant() {
      return grant;
    },
    get session() {
      return session;
    },
    get permits() {
      return permits;
    },
    get dry() {
      return dry;
    },
    get left() {
      return grant === null ? 0 : Math.max(0, grant.limits.messagesPerConnection - submitted);
    },
    stop: new AbortController(),
    idleSince: 0,
    graceUntil: 0,
    placed: false,
    go: null,
    begin: (given) => void (grant = given),
    opened: (opened) => void (session = opened),
    fund(wanted, now, wake) {
      if (grant === null || dry || grant.revoked) return 0;
      const short = Math.min(wanted, line.left) - permits;
      if (short <= 0) return 0;
      const from = grant;
      const got = from.messages(short, () => {
        if (grant !== from) return;
        dry = false;
        wake();
      });
      if (got === 0) dry = true;
      else if (permits === 0) fundedAt = now;
      permits += got;
      return got;
    },
    unfund() {
      if (permits > 0) grant?.unused(permits);
      permits = 0;
    },
    ready(now, wake) {
      if (grant === null || session === null || session.room === 0 || permits === 0) return false;
      if (grant.revoked || submitted >= grant.limits.messagesPerConnection) return false;
      if (now - fundedAt <= FRESH_MS) return true;
      const count = permits;
      line.unfund();
      // Even if it was dry: what has just been given back may be had again.
      dry = false;
      line.fund(count, now, wake);
      return permits > 0;
    },
    spend() {
      permits--;
      submitted++;
    },
    unspend() {
      submitted--;
      grant?.unused(1);
    },
    end() {
      line.unfund();
      const given = grant;
      grant = null;
      session = null;
      dry = false;
      given?.close();
    },
  };
  return line;
}
