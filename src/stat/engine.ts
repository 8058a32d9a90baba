/**
 * The quota engine (stat/contract.ts Engine): who holds which connections and messages, who waits for what. No sockets, no timers, no clock
 * of its own: time comes in with each call, so the simulation (bench/quota-sim.ts) can turn days in seconds.
 */
import type { MxRules } from "../model/mx-rules.ts";
import type { Engine, Governor } from "./contract.ts";

export interface EngineOptions {
  readonly governor: Governor;
  readonly rules: MxRules;
  /** How long a member may go on by its share when the server is gone. */
  readonly horizonMs: number;
  /** A member of which nothing was heard for so long is lost: whoever calls `leave` does so then, at the latest. */
  readonly silenceMs: number;
}

export function openEngine(options: EngineOptions): Engine {
  throw new Error(`not yet: ${options.horizonMs}`);
}
