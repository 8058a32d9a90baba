/**
 * The second set of limits: what a back-off, a ramp or a warm-up leaves of an MX rule. Never above what the rule gives, where that is a
 * limit. Both sides reckon with it: the statistics server, and a machine that has to go on without one.
 */
import type { Amount, BackOffLimits } from "./reply-rules.ts";
import type { Limits } from "./traffic.ts";

export const AS_IS: Amount = { share: 1, value: 0 };
export const ALL_AS_IS: BackOffLimits = {
  connections: AS_IS,
  messagesPerConnection: AS_IS,
  messagesPerMinute: AS_IS,
  messagesPerHour: AS_IS,
};

/** `base`: messages an hour that a share is taken of where the rule has no limit. */
export function lowered(limits: Limits, second: BackOffLimits, base: number): Limits {
  const { connections, messagesPerConnection, messagesPerMinute, messagesPerHour } = limits;
  return {
    ...limits,
    connections: lower(connections, second.connections, 1),
    messagesPerConnection: lower(messagesPerConnection, second.messagesPerConnection, 1),
    messagesPerMinute: lower(messagesPerMinute, second.messagesPerMinute, base / 60),
    messagesPerHour: lower(messagesPerHour, second.messagesPerHour, base),
  };
}

/** What the amount comes to by itself, of a limit that is 0 for none; 0: it limits nothing. */
export function amountOf({ share, value }: Amount, normal: number, base: number): number {
  if (value > 0) return value;
  return share >= 1 ? 0 : shareOf(normal || base, share);
}

export function shareOf(normal: number, share: number): number {
  return Math.max(1, Math.floor(normal * share));
}

function lower(normal: number, amount: Amount, base: number): number {
  const own = amountOf(amount, normal, base);
  return own === 0 ? normal : normal > 0 ? Math.min(normal, own) : own;
}
