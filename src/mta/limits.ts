/**
 * Traffic by the limits of the settings alone: each process for itself, until the statistics server answers in its place with the same
 * words (model/traffic.ts). Nothing polls: a waiter is called when a connection is given back, a spent hour when its next period begins.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { MtaSettings } from "../config/settings.ts";
import type { ConnectionGrant, LaneKey, LaneLimits, Traffic } from "../model/traffic.ts";

/** An hour is cut into twelve periods (spec modules.md §6.5), so a spent quota is never silent for more than five minutes. */
const PERIODS = 12;
const PERIOD_MS = 300_000;

interface LaneState {
  open: number;
  readonly waiting: Set<() => void>;
  period: number;
  spent: number;
  wakes: (() => void)[];
  timer: Timer | null;
}

export function openLimits(settings: Pick<MtaSettings, "rules">, clock: Clock): Traffic & { close(): void } {
  const lanes = new Map<string, LaneState>();
  const rules = settings.rules.map((r) => ({ pattern: mask(r.mx), limits: limitsOf(r) }));
  const fallback: LaneLimits = limitsOf({
    mx: "*",
    connections: 20,
    messagesPerConnection: 1000,
    messagesPerHour: 0,
    tls: "opportunistic",
  });

  function limits(lane: LaneKey): LaneLimits {
    return rules.find((r) => r.pattern.test(lane.mx))?.limits ?? fallback;
  }
  function state(lane: LaneKey): LaneState {
    const key = laneName(lane);
    let s = lanes.get(key);
    if (s === undefined) {
      s = { open: 0, waiting: new Set(), period: 0, spent: 0, wakes: [], timer: null };
      lanes.set(key, s);
    }
    return s;
  }

  return {
    limits,
    async connection(lane, signal) {
      const s = state(lane);
      const most = limits(lane).connections;
      while (s.open >= most) {
        if (signal.aborted) return null;
        await new Promise<void>((resolve) => {
          const done = (): void => {
            s.waiting.delete(done);
            signal.removeEventListener("abort", done);
            resolve();
          };
          s.waiting.add(done);
          signal.addEventListener("abort", done);
        });
      }
      if (signal.aborted) {
        s.waiting.values().next().value?.();
        return null;
      }
      s.open++;
      let closed = false;
      return {
        limits: limits(lane),
        close() {
          if (closed) return;
          closed = true;
          s.open--;
          const next = s.waiting.values().next().value;
          // A lane without a quota leaves nothing behind: a newsletter meets a hundred thousand sites.
          if (next === undefined && s.open === 0 && s.timer === null && s.spent === 0) lanes.delete(laneName(lane));
          next?.();
        },
      } satisfies ConnectionGrant;
    },
    messages(lane, wanted, wake) {
      const hour = limits(lane).messagesPerHour;
      if (hour === 0) return wanted;
      const s = state(lane);
      const period = Math.floor(clock.now() / PERIOD_MS);
      if (s.period !== period) {
        s.period = period;
        s.spent = 0;
      }
      // The remainder of hour ÷ 12 goes to the first periods, so that a limit of 5 an hour is not 0 a period.
      const share = Math.floor(hour / PERIODS) + (period % PERIODS < hour % PERIODS ? 1 : 0);
      const granted = Math.min(wanted, Math.max(0, share - s.spent));
      s.spent += granted;
      if (granted === 0) {
        s.wakes.push(wake);
        s.timer ??= clock.after((period + 1) * PERIOD_MS - clock.now(), () => {
          s.timer = null;
          for (const call of s.wakes.splice(0)) call();
        });
      }
      return granted;
    },
    unused(lane, count) {
      const s = lanes.get(laneName(lane));
      if (s !== undefined) s.spent = Math.max(0, s.spent - count);
    },
    close() {
      for (const s of lanes.values()) s.timer?.cancel();
    },
  };
}

const laneName = (lane: LaneKey): string => `${lane.site} ${lane.publicId}`;

function limitsOf(rule: MtaSettings["rules"][number]): LaneLimits {
  return {
    rule: rule.mx,
    connections: rule.connections,
    messagesPerConnection: rule.messagesPerConnection,
    messagesPerHour: rule.messagesPerHour,
    tls: rule.tls,
  };
}

/** A mask with * and ? as an anchored, case-blind pattern. */
export function mask(text: string): RegExp {
  const escaped = text.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, "i");
}
