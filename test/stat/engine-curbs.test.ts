/** Members hear what measures would leave them without the server: all of it when they come, then what has changed. */
import { expect, test } from "vitest";
import type { Curb, ServerMessage } from "../../src/quota/messages.ts";
import type { Governor } from "../../src/stat/contract.ts";
import { IDLE_GOVERNOR, T0, type TestMember, openTestEngine, rule } from "./engine-parts.ts";

function curb(id: string, parts: Partial<Curb> = {}): Curb {
  const hold = { kind: "back-off", by: "slow", text: "slower", since: T0, until: 0 } as const;
  return { id, site: "a.example", exact: true, publicId: 1, from: 0, until: 0, hold, limits: null, base: 1, ...parts };
}

type Told = Extract<ServerMessage, { t: "curbs" }>;

function curbsHeard({ heard }: TestMember): Told[] {
  return heard.splice(0).filter((message) => message.t === "curbs");
}

/** What a member that hears these knows. */
function known(told: readonly Told[]): string[] {
  const all = new Set<string>();
  for (const { all: anew, curbs, over } of told) {
    if (anew) all.clear();
    for (const id of over) all.delete(id);
    for (const { id } of curbs) all.add(id);
  }
  return [...all].sort();
}

let now: Curb[] = [];
const governor: Governor = { ...IDLE_GOVERNOR, curbs: () => now };

test("everything to who joins, what has changed to all, nothing twice", () => {
  now = [curb("a"), curb("b")];
  const on = openTestEngine([rule({})], { governor });
  const a = on.join("a/0");
  expect(known(curbsHeard(a))).toEqual(["a", "b"]);
  now = [curb("b", { base: 2 }), curb("c")];
  on.engine.reconsider({ site: "a.example" }, on.now);
  expect(curbsHeard(a)).toEqual([
    { t: "curbs", all: false, curbs: [], over: ["a"] },
    { t: "curbs", all: false, curbs: now, over: [] },
  ]);
  const b = on.join("b/0");
  expect(known(curbsHeard(b))).toEqual(["b", "c"]);
  on.engine.reconsider(null, on.now);
  expect(curbsHeard(a)).toEqual([]);
});

test("what changes without a word is told with the next stored snapshot", () => {
  now = [];
  const on = openTestEngine([rule({})], { governor });
  const a = on.join("a/0");
  curbsHeard(a);
  now = [curb("shut")];
  on.engine.snapshot(on.now);
  on.engine.saved(on.now);
  expect(known(curbsHeard(a))).toEqual(["shut"]);
});

test("a restored server tells those who come what its governor was restored with", () => {
  now = [];
  const before = openTestEngine([rule({})], { governor });
  before.join("a/0");
  now = [curb("a")];
  expect(known(curbsHeard(before.restart().join("a/0")))).toEqual(["a"]);
});

test("thousands with long names go in lines that fit", () => {
  now = Array.from({ length: 3000 }, (_, i) => curb(`${i} ${"é".repeat(900)}`));
  const on = openTestEngine([rule({})], { governor });
  const a = on.join("a/0");
  const told = curbsHeard(a);
  expect(known(told)).toHaveLength(3000);
  expect(Math.max(...told.map((message) => Buffer.byteLength(JSON.stringify(message))))).toBeLessThan(200 * 1024);
  now = [];
  on.engine.reconsider(null, on.now);
  const over = curbsHeard(a);
  expect(known([...told, ...over])).toEqual([]);
  expect(Math.max(...over.map((message) => Buffer.byteLength(JSON.stringify(message))))).toBeLessThan(200 * 1024);
});
