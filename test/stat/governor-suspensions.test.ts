/** Suspensions of operators: hostile masks and lists first, what they are for, and the way back after them. */
import { describe, expect, test } from "vitest";
import type { Suspension } from "../../src/stat/contract.ts";
import { HOUR, LIMITS, MIN, MX, SITE, T0, path, report, told } from "./governor-parts.ts";

const suspension = (parts: Partial<Suspension> = {}): Suspension => ({
  id: 1,
  site: SITE,
  publicId: null,
  reason: "they asked us to",
  by: "alice",
  since: T0,
  until: 0,
  ...parts,
});

describe("hostile lists", () => {
  test("ten thousand suspensions with masks of stars: bounded, and asking stays quick", () => {
    const t = told();
    const list = Array.from({ length: 10_000 }, (_, id) =>
      suspension({ id: id + 1, site: `${"*a".repeat(100)}${id}` }),
    );
    t.governor.setSuspensions(list, T0);
    for (let i = 0; i < 100; i++) expect(t.govern(T0, `site${i}`, 1, `${"a".repeat(200)}.${i % 5}`).hold).toBeNull();
    expect(t.governor.list(T0)).toHaveLength(1000);
  });

  test("reason and name are made harmless", () => {
    const t = told();
    t.governor.setSuspensions([suspension({ reason: "be\u202eware\u001b[2J\n", by: `x${"y".repeat(500)}\u0007` })], T0);
    const { hold } = t.govern(T0);
    expect(hold!.text).toBe("suspended: be ware [2J");
    expect(hold!.by.length).toBeLessThan(100);
    expect(t.governor.list(T0)[0]!.reason).toBe("be ware [2J");
  });

  test("a million sites are asked about while something is suspended", () => {
    const t = told();
    t.governor.setSuspensions([suspension({ site: "*.example.com", publicId: 3 })], T0);
    for (let i = 0; i < 100_000; i++) expect(t.govern(T0, `site${i}`, 1, `mx${i}.example.net`).hold).toBeNull();
    expect(t.govern(T0, "any", 3).hold).not.toBeNull();
  });
});

describe("whom it is for", () => {
  test.each<[string, Partial<Suspension>, boolean, boolean, boolean]>([
    // site and its mx from public id 1, the same from 2, another site from 1
    ["the site by its name", {}, true, true, false],
    ["a mask over the exchanger", { site: "*.example.com" }, true, true, false],
    ["the exchanger itself, whatever the case", { site: MX.toUpperCase() }, true, true, false],
    ["the site from one public id", { publicId: 1 }, true, false, false],
    ["a public id everywhere", { site: "", publicId: 1 }, true, false, true],
    ["everything", { site: "" }, true, true, true],
    ["everything by mask", { site: "*" }, true, true, true],
    ["something else", { site: "*.example.org" }, false, false, false],
    ["a piece of the name is not the name", { site: "example.com" }, false, false, false],
  ])("%s", (_, parts, here, other, elsewhere) => {
    const t = told();
    t.governor.setSuspensions([suspension(parts)], T0);
    expect(t.govern(T0, SITE, 1).hold !== null).toBe(here);
    expect(t.govern(T0, SITE, 2).hold !== null).toBe(other);
    expect(t.govern(T0, "other", 1, "mx.other.net").hold !== null).toBe(elsewhere);
  });

  test("the hold says who, why, since when and until when; of two the longer one", () => {
    const t = told();
    t.governor.setSuspensions(
      [suspension({ until: T0 + HOUR }), suspension({ id: 2, by: "bob", site: "*", reason: "moving house" })],
      T0,
    );
    expect(t.govern(T0)).toMatchObject({
      messages: 0,
      hold: { kind: "suspension", by: "operator bob", text: "suspended: moving house", since: T0, until: 0 },
    });
    expect(t.govern(T0).limits).toBe(LIMITS);
    expect(t.governor.list(T0)).toHaveLength(2);
    expect(t.changes).toEqual([null]);
    expect(t.history, "the ledger has a table of its own for these").toEqual([]);
  });

  test("the same list again changes nothing", () => {
    const t = told();
    t.governor.setSuspensions([suspension()], T0);
    t.changes.length = 0;
    t.governor.setSuspensions([suspension()], T0 + 1);
    expect(t.changes).toEqual([]);
    t.governor.setSuspensions([suspension({ until: T0 + HOUR })], T0 + 2);
    expect(t.changes).toEqual([null]);
  });
});

describe("afterwards", () => {
  test("resumed: a ramp by time, a share of what went before, then free", () => {
    const t = told();
    t.governor.observe(
      [report({ accepted: 9600 }), report({ site: "other", mx: "mx.other.net", accepted: 90_000 })],
      [],
      T0,
    );
    t.governor.setSuspensions([suspension()], T0);
    t.governor.setSuspensions([], T0 + 2 * HOUR);
    let at = T0 + 2 * HOUR;
    const steps: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      const { connections, messages, hold } = t.govern(at);
      steps.push([connections, messages]);
      expect(hold).toBeNull();
      at += 5 * MIN;
      t.run(at, at);
    }
    // 9,600 an hour: a sixteenth is 600, 50 in five minutes.
    expect(steps).toEqual([
      [1, 50],
      [2, 100],
      [4, 200],
      [8, 400],
    ]);
    expect(t.govern(at)).toEqual({ limits: LIMITS, hold: null, connections: Infinity, messages: Infinity });
    expect(t.governor.nextAt()).toBe(Infinity);
  });

  test("in the ramp the messages of all it was for are counted together, and the hold says what it is", () => {
    const t = told();
    t.governor.setSuspensions([suspension({ site: "*.example.com" })], T0);
    t.governor.setSuspensions([], T0 + HOUR);
    t.governor.granted("a", path(), 2, T0 + HOUR);
    expect(t.govern(T0 + HOUR, "b", 2).messages).toBe(1);
    t.governor.granted("b", path(2), 1, T0 + HOUR);
    expect(t.govern(T0 + HOUR).hold).toMatchObject({
      kind: "suspension",
      by: "operator alice",
      until: T0 + HOUR + 5 * MIN,
    });
    expect(t.govern(T0 + HOUR, "elsewhere", 1, "mx.other.net").messages).toBe(Infinity);
  });

  test("its time ends it: nothing before, the ramp from then on", () => {
    const t = told();
    t.governor.setSuspensions([suspension({ until: T0 + HOUR })], T0);
    expect(t.governor.nextAt()).toBe(T0 + HOUR);
    t.run(T0, T0 + HOUR - 1);
    expect(t.govern(T0 + HOUR - 1).messages).toBe(0);
    t.run(T0, T0 + HOUR);
    expect(t.govern(T0 + HOUR)).toMatchObject({ connections: 1, hold: null });
    t.governor.setSuspensions([suspension({ until: T0 + HOUR })], T0 + HOUR + 1);
    expect(t.govern(T0 + HOUR + 1).hold, "a list read a moment too early does not bring it back").toBeNull();
  });

  test("of some seconds: no ramp", () => {
    const t = told();
    t.governor.setSuspensions([suspension()], T0);
    t.governor.setSuspensions([], T0 + 59_000);
    expect(t.govern(T0 + 59_000).connections).toBe(Infinity);
  });

  test("resumed while no server ran: the next one sees it and ramps", () => {
    const before = told();
    before.governor.setSuspensions([suspension()], T0);
    const t = told();
    t.governor.restore(JSON.parse(JSON.stringify(before.governor.snapshot())), T0 + HOUR);
    expect(t.govern(T0 + HOUR).messages).toBe(0);
    t.governor.setSuspensions([], T0 + HOUR);
    expect(t.govern(T0 + HOUR).connections).toBe(1);
    const again = told();
    again.governor.restore(JSON.parse(JSON.stringify(t.governor.snapshot())), T0 + HOUR + MIN);
    expect(again.govern(T0 + HOUR + MIN).connections, "a restart in the ramp").toBe(1);
  });
});
