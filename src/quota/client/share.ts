/**
 * What this process may take without the server: its share of each counter (messages.ts Share), of the windows that run and of later ones,
 * until the horizon. The rules and the share are those told last. What measures leave of it is curbs.ts.
 */
import { type MxRule, type MxRules, matchRule } from "../../model/mx-rules.ts";
import type { Limits } from "../../model/traffic.ts";
import { DAY, DAY_PARTS, LENGTHS, WINDOWS, windowEnd, windowLimit, windowStart } from "../counter.ts";
import type { ServerMessage } from "../messages.ts";
import { HAND_MS, paced } from "../pace.ts";
import type { Usage } from "./usage.ts";

export interface ShareRoom {
  /** Messages that may be taken now. */
  readonly messages: number;
  /** They count at this server time, and end at that one. */
  readonly at: number;
  readonly until: number;
  /** With none: server ms at which there may be some; Infinity: not known. */
  readonly nextAt: number;
}

export interface Shares {
  readonly rules: MxRules;
  /** 0: no share. */
  readonly members: number;
  tellRules(message: Extract<ServerMessage, { t: "rules" }>): void;
  tell(message: Extract<ServerMessage, { t: "shares" }>): void;
  /** The horizon has passed: there is no share any more. */
  forget(): void;
  /** Windows that begin from `time` (server ms) on are shared whether there is a stake or not: the server knows by then that we are lost. */
  aloneFrom(time: number): void;
  rule(mx: string, publicId: number): MxRule;
  /** At least one. */
  connections(counter: string, limits: Limits): number;
  /** `early`, `late`: bounds of the server's time now. They drift apart by seconds in minutes: what is void soon is so by the late one. */
  messages(counter: string, limits: Limits, early: number, late: number): ShareRoom;
}

/** What is taken of rules without limits of messages. */
const UNLIMITED_MS = 60_000;

export function openShares(usage: Usage): Shares {
  let rules: MxRules = [];
  let coming: MxRule[] = [];
  let members = 0;
  let from = Number.POSITIVE_INFINITY;
  const stakes = new Map<string, number>();

  function most(counter: string, limit: number, full: boolean): number {
    if (members === 0) return 0;
    const halvings = full ? 0 : stakes.get(counter);
    return halvings === undefined ? 0 : Math.floor(limit / (members * 2 ** halvings));
  }

  return {
    get rules() {
      return rules;
    },
    get members() {
      return members;
    },
    tellRules({ first, last, rules: part }) {
      if (first) coming = [];
      coming.push(...part);
      if (last) rules = coming;
    },
    tell({ members: told, all, shares }) {
      members = told;
      if (all) stakes.clear();
      for (const { counter, halvings } of shares) {
        if (halvings < 0) stakes.delete(counter);
        else stakes.set(counter, halvings);
      }
    },
    forget() {
      members = 0;
      stakes.clear();
    },
    aloneFrom: (time) => void (from = time),
    rule: (mx, publicId) => matchRule(rules, mx, publicId),
    connections: (counter, limits) => Math.max(1, most(counter, limits.connections, false)),
    messages(counter, limits, early, late) {
      const at = Math.floor(early);
      let messages = Number.POSITIVE_INFINITY;
      let until = at + UNLIMITED_MS;
      let opensAt = Number.NEGATIVE_INFINITY;
      for (const w of WINDOWS) {
        const start = windowStart(w, at);
        const limit = windowLimit(limits, w, start);
        if (limit === Number.POSITIVE_INFINITY) continue;
        const end = windowEnd(w, start);
        until = Math.min(until, end);
        const share =
          w === DAY
            ? most(counter, limit / DAY_PARTS, false)
            : Math.max(most(counter, limit, false), start >= from ? most(counter, limit, true) : 0);
        const used = w === DAY ? usage.sinceMark(counter, start) : usage.used(counter, w, start);
        let left = late >= end ? 0 : share - used;
        if (left < 1) opensAt = Math.max(opensAt, end);
        else if (limits.pacing === "smooth" && w !== DAY) {
          const pace = paced(usage.pace(counter, w), share, LENGTHS[w], at);
          if (pace.left < 1) opensAt = Math.max(opensAt, pace.nextAt);
          left = Math.min(left, pace.left);
          until = Math.min(until, Math.floor(late) + HAND_MS);
        }
        messages = Math.min(messages, left);
      }
      const nextAt = opensAt === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : opensAt;
      return { messages: Math.max(0, messages), at, until, nextAt };
    },
  };
}
