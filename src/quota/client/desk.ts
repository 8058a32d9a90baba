/** What the parts of the quota client share: requests that wait, connections that are held, and what is known of time, shares and use. */
import type { ConnectionGrant, Exchanger, LaneKey, Limits } from "../../model/traffic.ts";
import { counterName } from "../counter.ts";
import type { Connection } from "./connection.ts";
import type { Curbs } from "./curbs.ts";
import type { LaneHolds, Waiter } from "./lane-holds.ts";
import type { ServerTime } from "./server-time.ts";
import type { Shares } from "./share.ts";
import type { Usage } from "./usage.ts";

/** A connection that is asked for. */
export interface Pending extends Waiter {
  readonly id: number;
  readonly exchangers: readonly Exchanger[];
  readonly urgent: boolean;
  /** Ends the wait; null: there is none. */
  readonly settle: (grant: ConnectionGrant | null) => void;
}

export interface Desk {
  readonly time: ServerTime;
  readonly usage: Usage;
  readonly shares: Shares;
  readonly curbs: Curbs;
  readonly holds: LaneHolds;
  readonly pending: Map<number, Pending>;
  /** Connections that wait for more messages, by the number of the request. */
  readonly mores: Map<number, Connection>;
  readonly conns: Map<number, Connection>;
  monotonic(): number;
  /** Makes the connection that was asked for and hands it over with its first messages. */
  hand(pending: Pending, exchanger: Exchanger, limits: Limits, at: number, until: number, messages: number): void;
  /** Messages for a connection that waits for some. */
  supply(conn: Connection, at: number, until: number, messages: number): void;
}

export function counterOf(limits: Limits, lane: Pick<LaneKey, "publicId">, ip: string): string {
  return counterName({ id: limits.rule, limits }, lane.publicId, ip);
}
