/** What a lane needs of the mta, and what the mta sees of it (`mta/lane.ts`). */
import type { Clock } from "../base/clock.ts";
import type { Outcome } from "../model/outcome.ts";
import type { LaneKey, LaneReport, Traffic } from "../model/traffic.ts";
import type { RenderResult } from "../render/contract.ts";
import type { Connect } from "./connect-contract.ts";
import type { Held } from "./held.ts";

export interface LaneDeps {
  readonly clock: Clock;
  readonly traffic: Traffic;
  readonly weights: readonly number[];
  readonly idleMs: number;
  /** How long nothing of it may go until it is parked; default PARK_MS (blocked.ts). */
  readonly parkMs?: number;
  /** Messages this lane takes before it is saturated, and transactional ones. */
  readonly capacity: number;
  readonly urgentCapacity: number;
  readonly connect: Connect;
  render(held: Held): Promise<RenderResult>;
  /** What an attempt came to. */
  finish(held: Held, outcome: Outcome, lane: Lane, deliveredBefore: number, final: boolean): void;
  giveBack(held: Held, notBefore: number): void;
  /** Gives back what waits for a permission, and remembers for `relieved` that it does. */
  park(held: Held, notBefore: number, lane: Lane): void;
  /** Another IP of the affinity takes the message, if one is usable for the site; false: none is. */
  elsewhere(held: Held, lane: Lane): boolean;
  /** `usable` has changed. */
  turned(lane: Lane): void;
  /** The lane was saturated or shut and takes messages again. */
  relieved(lane: Lane): void;
  /** The message is about to be submitted to a session. */
  expect(held: Held): void;
  /** A place among all sessions of the process; false: none is free now, `pump` is called when one is. */
  takePlace(lane: Lane, urgent: boolean): boolean;
  freePlace(): void;
  /** Other lanes wait for places, or for a connection of this rule: an idle session is not kept. */
  crowded(rule: string): boolean;
  /** The lane waits for a connection of this rule; '': for none. */
  wants(lane: Lane, rule: string): void;
  /** Memory for a rendered message of about so many bytes; false: not now, `pump` is called when there is. */
  takeBytes(lane: Lane, urgent: boolean, bytes: number): boolean;
  freeBytes(bytes: number): void;
}

export interface Lane {
  readonly key: LaneKey;
  /** Waiting, rendering, ready or in flight. */
  readonly held: number;
  /** Open or being opened. */
  readonly sessions: number;
  /** Nothing in it, nothing asked for and nothing to remember. */
  readonly idle: boolean;
  /** Nothing in it and no session, but it waits for the quota, or it rests, or knows that its IP is held. */
  readonly standing: boolean;
  /** When it could last send, of one that is parked (monotonic); 0: it is not. */
  readonly blockedSince: number;
  /** Takes no more: held, resting or full. */
  readonly saturated: boolean;
  /** Takes no urgent ones either, which overtake the others: held, resting, or full of them. */
  readonly shut: boolean;
  /** False while nothing goes this way: the site rests, or its IP is held for it. Another IP of the affinity is better. */
  readonly usable: boolean;
  enqueue(held: Held): void;
  /** Gives back what matches and is not in flight. */
  giveBack(match: (held: Held) => boolean, notBefore: number): void;
  /** What the quota says of this lane has changed. */
  turned(): void;
  /** Lets another IP of the affinity take what waits, where one is usable. */
  moveOn(): void;
  /** Gives back what is past its deadline through finish(). */
  expire(now: number): void;
  pump(): void;
  /** Closes idle sessions of these rules now: another lane needs their places. */
  closeIdle(match: (rule: string) => boolean): void;
  report(): LaneReport;
  /** Takes nothing new; resolves when all sessions are closed, those in flight after `signal` are cut. */
  close(signal: AbortSignal): Promise<void>;
}
