/**
 * Permission to use the wire, as the mta asks for it. Today the limits of the settings answer (`mta/limits.ts`); later the statistics
 * server does, with the same words: an mta that was granted nothing waits to be called, it never asks again in a loop.
 */

/** The mail exchangers that serve a domain, in the order of preference, as a name for everything that shares them. */
export interface Site {
  /** The exchanger names in order of preference, joined by ','; or the domain itself when it has no MX. Lower case. */
  readonly name: string;
}

/** What limits one lane: the first rule whose mask matches the first exchanger's name. */
export interface LaneLimits {
  /** The mask of the rule, for "why". */
  readonly rule: string;
  readonly connections: number;
  /** Then the session is closed and a new one opened. */
  readonly messagesPerConnection: number;
  /** 0: no limit. */
  readonly messagesPerHour: number;
  readonly tls: "opportunistic" | "required" | "disabled";
}

export interface LaneKey {
  readonly site: string;
  /** First exchanger's name: what the masks of rules are held against. */
  readonly mx: string;
  readonly publicId: number;
  /** Local address of the outgoing IP, '' for the system's choice. */
  readonly localAddress: string;
}

/** A permission to hold one connection open. `close` gives it back, once. */
export interface ConnectionGrant {
  readonly limits: LaneLimits;
  close(): void;
}

export interface Traffic {
  limits(lane: LaneKey): LaneLimits;
  /**
   * One connection for the lane, now or when there is room. null once `signal` aborts.
   * Waiters of a lane are served in order.
   */
  connection(lane: LaneKey, signal: AbortSignal): Promise<ConnectionGrant | null>;
  /** How many of `wanted` messages may be sent now (0…wanted); with 0, `wake` is called once when asking again is worth it. */
  messages(lane: LaneKey, wanted: number, wake: () => void): number;
  /** Gives back messages that were granted and not attempted. */
  unused(lane: LaneKey, count: number): void;
}
