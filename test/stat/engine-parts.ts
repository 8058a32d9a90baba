/** What the tests of the engine share: one under a rule, on a time that is turned by hand, whose snapshots are stored at once; and members. */
import { BUILT_IN, type MxRule } from "../../src/model/mx-rules.ts";
import type { Limits } from "../../src/model/traffic.ts";
import type { ClientMessage, HeldConnection, ServerMessage, UsedCounter } from "../../src/quota/messages.ts";
import type { Engine, Governor } from "../../src/stat/contract.ts";
import { openEngine } from "../../src/stat/engine.ts";

/** A Thursday, 10:00 UTC: the begin of a period. */
export const T0 = Date.UTC(2026, 0, 1, 10);
export const MIN = 60_000;
export const PERIOD = 5 * MIN;
export const HORIZON_MS = 3 * MIN;
export const EXCHANGER = { mx: "mx.a.example", ip: "192.0.2.1" };

export function rule(limits: Partial<Limits>): MxRule {
  const all: Limits = { ...BUILT_IN, rule: "all", messagesPerConnection: 100_000, ...limits };
  return { id: "all", mx: ["*"], publicIds: null, limits: all, origin: "test", origins: {}, note: "" };
}

/** Nothing is at work. */
export const IDLE_GOVERNOR: Governor = {
  govern: (_site, _path, limits) => ({ limits, hold: null, connections: Infinity, messages: Infinity }),
  granted() {},
  observe() {},
  nextAt: () => Infinity,
  tick() {},
  onChange() {},
  snapshot: () => null,
  restore() {},
  list: () => [],
  curbs: () => [],
};

export interface Grant {
  readonly id: number;
  readonly conn: number;
  readonly at: number;
  readonly messages: number;
  readonly until: number;
}

export interface TestMember {
  readonly name: string;
  readonly heard: ServerMessage[];
  readonly grants: Grant[];
  /** Asks again for more at once, whatever it was granted. */
  hungry: boolean;
  acquire(): number;
  more(conn: number): void;
  say(message: ClientMessage): void;
  leave(): void;
}

export interface TestEngine {
  readonly engine: Engine;
  readonly now: number;
  /** Times at which the engine wanted to be called. */
  readonly ticks: number[];
  /** `back`: the same process as before, with what it still holds and what it says it used. */
  join(
    name: string,
    back?: { readonly held: readonly HeldConnection[]; readonly used: readonly UsedCounter[] },
  ): TestMember;
  /** Turns the time on, doing what is due on the way. */
  pass(ms: number): void;
  /** Another engine, restored from what this one has, at the same time. */
  restart(): TestEngine;
}

export function openTestEngine(
  rules: readonly MxRule[],
  options: { now?: number; snapshot?: unknown; governor?: Governor } = {},
): TestEngine {
  const governor = options.governor ?? IDLE_GOVERNOR;
  const engine = openEngine({ governor, rules, horizonMs: HORIZON_MS, silenceMs: 10_000 });
  let now = options.now ?? T0;
  let ids = 0;
  const ticks: number[] = [];
  if (options.snapshot !== undefined) engine.restore(options.snapshot, now);
  const pending: (() => void)[] = [];

  /** What members answer, and snapshots as often as somebody waits for one. */
  function settle(): void {
    for (let i = 0; i < 100; i++) {
      for (const answer of pending.splice(0)) answer();
      if (!engine.wantsSave() && pending.length === 0) return;
      engine.snapshot(now);
      engine.saved(now);
    }
    throw new Error("it does not come to rest");
  }

  const test: TestEngine = {
    engine,
    get now() {
      return now;
    },
    ticks,
    join(name, back) {
      const heard: ServerMessage[] = [];
      const grants: Grant[] = [];
      const say = (message: ClientMessage): void => {
        engine.handle(name, message, now);
        settle();
      };
      const member: TestMember = {
        name,
        heard,
        grants,
        hungry: false,
        acquire() {
          const id = ++ids;
          const site = "a.example";
          say({ t: "acquire", id, site, publicId: 1, exchangers: [EXCHANGER], messages: 1000, urgent: false });
          return id;
        },
        more: (conn) => say({ t: "more", id: ++ids, conn, messages: 1000, urgent: false }),
        say,
        leave() {
          engine.leave(name, now);
          settle();
        },
      };
      const hear = (message: ServerMessage): void => {
        heard.push(message);
        if (message.t === "shares") pending.push(() => engine.handle(name, { t: "told", seq: message.seq }, now));
        if (message.t !== "grant") return;
        grants.push(message);
        const { conn } = message;
        const again = { t: "more", id: ++ids, conn, messages: 1000, urgent: false } as const;
        if (member.hungry) pending.push(() => engine.handle(name, again, now));
      };
      const hello = { t: "hello", v: 1, member: name, role: "member", nonce: "", proof: "" } as const;
      engine.join(name, { ...hello, process: `${name}0000`, held: back?.held ?? [] }, now, hear);
      say({ t: "used", counters: back?.used ?? [], last: true });
      return member;
    },
    pass(ms) {
      const end = now + ms;
      for (let at = engine.nextAt(); at <= end; at = engine.nextAt()) {
        now = Math.max(now, at);
        ticks.push(now);
        engine.tick(now);
        settle();
      }
      now = end;
    },
    restart: () =>
      openTestEngine(rules, { ...options, now, snapshot: JSON.parse(JSON.stringify(engine.snapshot(now))) }),
  };
  return test;
}

/** Messages granted from `from` on, within `ms`. */
export function granted(members: readonly TestMember[], from = 0, ms = Infinity): number {
  return members
    .flatMap(({ grants }) => grants)
    .reduce((sum, { at, messages }) => (at >= from && at < from + ms ? sum + messages : sum), 0);
}

/** The most granted in any `ms`. */
export function mostGranted(members: readonly TestMember[], ms: number): number {
  return Math.max(...members.flatMap(({ grants }) => grants).map(({ at }) => granted(members, at, ms)));
}
