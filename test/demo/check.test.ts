/** The demo's judgement: it must see every kind of thing that can be off, and be silent when nothing is. */
import { describe, expect, test } from "vitest";
import { judge, unexplained } from "../../demo/check.ts";
import type { Accounts, Booked, Expected } from "../../demo/check.ts";
import type { Counters } from "../../src/model/delivery.ts";

const NONE: Counters = {
  accepted: 0,
  pending: 0,
  claimed: 0,
  deferred: 0,
  sent: 0,
  failed: 0,
  bounced: 0,
  excluded: 0,
  cancelled: 0,
  inDoubt: 0,
};

const EXPECTED: [string, Expected][] = [
  ["a@x.example", { status: "sent", reason: "" }],
  ["b@x.example", { status: "sent", reason: "" }],
  ["gone@x.example", { status: "failed", reason: "user-unknown" }],
  ["no@x.example", { status: "excluded", reason: "suppressed" }],
];

const LEDGER: [string, Booked][] = [
  ["a@x.example", { id: 1, status: "sent", reason: "", attempts: 1 }],
  ["b@x.example", { id: 2, status: "sent", reason: "", attempts: 3 }],
  ["gone@x.example", { id: 3, status: "failed", reason: "user-unknown", attempts: 1 }],
  ["no@x.example", { id: 4, status: "excluded", reason: "suppressed", attempts: 0 }],
];

function accounts(parts: Partial<Accounts> = {}): Accounts {
  return {
    expected: new Map(EXPECTED),
    ledger: new Map(LEDGER),
    arrivals: new Map([
      ["a@x.example", [1]],
      ["b@x.example", [1]],
    ]),
    counters: { ...NONE, accepted: 4, sent: 2, failed: 1, excluded: 1 },
    doubted: new Set(),
    ...parts,
  };
}

function booked(address: string, change: Partial<Booked>): ReadonlyMap<string, Booked> {
  return new Map(LEDGER.map(([to, row]) => [to, to === address ? { ...row, ...change } : row]));
}

describe("judge", () => {
  test("has nothing to say when the three accounts agree", () => {
    expect(judge(accounts())).toEqual({
      lost: 0,
      duplicates: 0,
      duplicatesInDoubt: 0,
      deferredThenSent: 1,
      failedByReason: new Map([["user-unknown", 1]]),
      complaints: [],
    });
  });

  test("calls lost what the ledger has sent and nobody has got", () => {
    const { lost, complaints } = judge(accounts({ arrivals: new Map([["a@x.example", [1]]]) }));
    expect(lost).toBe(1);
    expect(complaints).toEqual(["1 × sent, says the ledger, and no exchanger has it (b@x.example)"]);
  });

  test.each(["pending", "deferred"])("calls lost what stays %s", (status) => {
    expect(judge(accounts({ ledger: booked("a@x.example", { status }) })).lost).toBe(1);
  });

  test("calls lost what is not in the ledger at all", () => {
    const ledger = new Map(LEDGER.slice(1));
    expect(judge(accounts({ ledger })).lost).toBe(1);
  });

  test("counts as duplicate what came twice, as two Message-IDs or as one", () => {
    for (const times of [[2], [1, 1]]) {
      const arrivals = new Map([...accounts().arrivals, ["a@x.example", times]] as [string, number[]][]);
      expect(judge(accounts({ arrivals })).duplicates).toBe(1);
      const doubted = judge(accounts({ arrivals, doubted: new Set(["a@x.example"]) }));
      expect([doubted.duplicates, doubted.duplicatesInDoubt, doubted.complaints]).toEqual([0, 1, []]);
    }
  });

  test.each([
    ["another status", { ledger: booked("gone@x.example", { status: "sent" }) }, "should be failed user-unknown"],
    ["another reason", { ledger: booked("gone@x.example", { reason: "expired" }) }, "should be failed user-unknown"],
    [
      "mail to an excluded address",
      { arrivals: new Map([...accounts().arrivals, ["no@x.example", [1]]]) },
      "has arrived",
    ],
    ["a stranger in the ledger", { ledger: new Map([...LEDGER, ["s@x.example", LEDGER[0]![1]]]) }, "never submitted"],
    ["counters that do not add up", { counters: { ...NONE, accepted: 4, sent: 3 } }, "the counters do not add up"],
    ["too few accepted", { counters: { ...NONE, accepted: 2, sent: 2 } }, "the counters do not add up"],
  ] as [string, Partial<Accounts>, string][])("complains of %s", (_, parts, complaint) => {
    expect(judge(accounts(parts)).complaints.join("\n")).toContain(complaint);
  });
});

describe("unexplained", () => {
  test("names who has mail twice, or mail that was not sent by the ledger", () => {
    const arrivals = new Map([
      ["a@x.example", [1]],
      ["b@x.example", [1, 1]],
      ["gone@x.example", [1]],
      ["s@x.example", [1]],
    ]);
    expect(unexplained({ ledger: new Map(LEDGER), arrivals })).toEqual([
      "b@x.example",
      "gone@x.example",
      "s@x.example",
    ]);
  });
});
