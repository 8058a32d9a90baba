/** What a lane needs of the mta, and what the mta sees of it (`mta/lane.ts`). */
import type { Clock } from "../base/clock.ts";
import type { Outcome } from "../model/outcome.ts";
import type { LaneKey, Traffic } from "../model/traffic.ts";
import type { RenderResult } from "../render/contract.ts";
import type { Held } from "./held.ts";
import type { Session } from "./session-contract.ts";

export interface LaneDeps {
  readonly clock: Clock;
  readonly traffic: Traffic;
  readonly weights: readonly number[];
  readonly idleMs: number;
  /** Messages this lane takes before it is saturated, and transactional ones. */
  readonly capacity: number;
  readonly urgentCapacity: number;
  /** A session to any exchanger of the site, or what the last of them said. Never rejects. */
  connect(key: LaneKey, events: { change(): void }, signal: AbortSignal): Promise<Session | Outcome>;
  render(held: Held): Promise<RenderResult>;
  /** What an attempt came to. */
  finish(held: Held, outcome: Outcome, lane: Lane, deliveredBefore: number, final: boolean): void;
  giveBack(held: Held, notBefore: number): void;
  /** The lane was saturated and takes messages again. */
  relieved(): void;
  /** The message is about to be submitted to a session. */
  expect(held: Held): void;
  /** A place among all sessions of the process; false: none is free now, `pump` is called when one is. */
  takePlace(lane: Lane, urgent: boolean): boolean;
  freePlace(): void;
  /** Other lanes wait for places: an idle session is not kept. */
  crowded(): boolean;
  /** Memory for a rendered message of about so many bytes; false: not now, `pump` is called when there is. */
  takeBytes(lane: Lane, urgent: boolean, bytes: number): boolean;
  freeBytes(bytes: number): void;
}

export interface Lane {
  readonly key: LaneKey;
  /** Waiting, rendering, ready or in flight. */
  readonly held: number;
  readonly sessions: number;
  readonly idle: boolean;
  /** Takes no more: quota spent, resting or full. */
  readonly saturated: boolean;
  /** Takes no urgent ones either, which overtake the others: quota spent, resting, or full of them. */
  readonly shut: boolean;
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
