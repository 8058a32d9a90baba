/** What is done where no rule of a file says it: the circuit breaker, and the way back after a suspension. */
import { ALL_AS_IS } from "../../model/back-off.ts";
import type { Remedy } from "../../model/reply-rules.ts";

const DAY = 86_400_000;

const PLAIN: Remedy = {
  action: "stop",
  limits: ALL_AS_IS,
  durationMs: 60_000,
  mostMs: DAY,
  probe: 5,
  stepMs: 300_000,
};

/** Stops for the time of the settings; twice as long after each bad probe, up to a day. */
export function breakerRemedy(stopMs: number): Remedy {
  return { ...PLAIN, durationMs: Math.max(1000, stopMs), mostMs: Math.max(stopMs, DAY) };
}

/** Only its ramp is ever used. */
export const AFTER_SUSPENSION: Remedy = PLAIN;
