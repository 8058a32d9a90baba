/**
 * Rules whose connections are all open while lanes of this process wait for one: exchangers that serve many sites share one count. A session
 * that such a rule counts is not kept when it is idle, or each newsletter would stand still for idleMs at every turn of the sites.
 */
import type { Clock } from "../base/clock.ts";
import type { Lane } from "./lane-contract.ts";

export interface Wanted {
  /** The rule a lane waits for, '' when for none. */
  set(lane: Lane, rule: string): void;
  has(rule: string): boolean;
}

/** All lanes are looked through for idle sessions, so not for every one that begins to wait. */
const LOOK_MS = 20;

export function openWanted(clock: Clock, lanes: () => Iterable<Lane>): Wanted {
  const byLane = new Map<Lane, string>();
  const counts = new Map<string, number>();
  let planned = false;

  function add(rule: string, change: number): void {
    const count = (counts.get(rule) ?? 0) + change;
    if (count > 0) counts.set(rule, count);
    else counts.delete(rule);
  }

  function look(): void {
    planned = false;
    if (counts.size > 0) for (const lane of lanes()) lane.closeIdle((rule) => counts.has(rule));
  }

  return {
    set(lane, rule) {
      const before = byLane.get(lane) ?? "";
      if (before === rule) return;
      if (before !== "") add(before, -1);
      if (rule === "") return void byLane.delete(lane);
      byLane.set(lane, rule);
      add(rule, 1);
      if (planned) return;
      planned = true;
      clock.after(LOOK_MS, look);
    },
    has: (rule) => counts.has(rule),
  };
}
