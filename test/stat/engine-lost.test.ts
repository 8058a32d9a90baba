/** Who falls silent holds its connections until they are surely closed: its horizon, and then the attempts that had begun. */
import { expect, test } from "vitest";
import { builtInRule } from "../../src/model/mx-rules.ts";
import type { ClientMessage, ServerMessage } from "../../src/quota/messages.ts";
import { openEngine } from "../../src/stat/engine.ts";
import { LIMITS, noGovernor } from "../support/small-engine.ts";

const HORIZON = 300_000;
const T0 = 1_800_000_000_000;

/** Two members and a rule of two connections, both held by the first; the second one waits. */
function held(endingMs?: number): { leave(): void; grantedAt(now: number): number } {
  const engine = openEngine({
    governor: noGovernor(),
    rules: [{ ...builtInRule("all"), limits: { ...LIMITS, rule: "all", connections: 2 } }],
    horizonMs: HORIZON,
    silenceMs: 10_000,
    ...(endingMs !== undefined && { endingMs }),
  });
  const heard = new Map<string, ServerMessage[]>();
  const say = (member: string, message: ClientMessage): void => engine.handle(member, message, T0);
  /** What is told is heard, and what changed is stored, until nothing is left to do. */
  const settle = (): void => {
    for (let i = 0; i < 5; i++) {
      for (const [member, list] of heard)
        for (const message of list.splice(0)) {
          if (message.t === "grant") granted.push(member);
          if (message.t === "shares") say(member, { t: "told", seq: message.seq });
        }
      engine.snapshot(T0);
      engine.saved(T0);
    }
  };
  const granted: string[] = [];
  for (const [member, process] of [
    ["a/0", "aaaaaaaa"],
    ["b/0", "bbbbbbbb"],
  ] as const) {
    const list: ServerMessage[] = [];
    heard.set(member, list);
    const hello = { t: "hello", v: 1, member, role: "member", nonce: "", proof: "", process, held: [] } as const;
    engine.join(member, { ...hello, unsure: false }, T0, (message) => list.push(message));
    say(member, { t: "used", counters: [], last: true });
  }
  settle();
  const ask = (member: string, id: number): void =>
    say(member, {
      t: "acquire",
      id,
      site: "mx.test",
      publicId: 0,
      exchangers: [{ mx: "mx.test", ip: "192.0.2.1" }],
      messages: 1,
      urgent: false,
    });
  for (const id of [1, 2]) ask("a/0", id);
  settle();
  ask("b/0", 1);
  settle();
  expect(granted).toEqual(["a/0", "a/0"]);
  return {
    leave: () => engine.leave("a/0", T0),
    grantedAt(now) {
      engine.tick(now);
      return heard.get("b/0")!.filter(({ t }) => t === "grant").length;
    },
  };
}

test("thirty seconds behind its horizon, not a moment sooner", () => {
  const { leave, grantedAt } = held();
  leave();
  expect(grantedAt(T0)).toBe(0);
  expect(grantedAt(T0 + HORIZON)).toBe(0);
  expect(grantedAt(T0 + HORIZON + 29_999)).toBe(0);
  expect(grantedAt(T0 + HORIZON + 30_000)).toBe(1);
});

test("or as long as was asked for", () => {
  const { leave, grantedAt } = held(1000);
  leave();
  expect(grantedAt(T0 + HORIZON + 999)).toBe(0);
  expect(grantedAt(T0 + HORIZON + 1000)).toBe(1);
});
