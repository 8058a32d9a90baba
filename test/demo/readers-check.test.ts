/** What readers made against what was counted: every disagreement is told. */
import { describe, expect, test } from "vitest";
import { judgeReaders, type ReadersAccounts } from "../../demo/readers/check.ts";
import type { CountedHit } from "../../demo/readers/counted.ts";
import { type Made, nothingMade } from "../../demo/readers/made.ts";

describe("the judgement", () => {
  const hit = (type: CountedHit["type"], more: Partial<CountedHit> = {}): CountedHit => ({
    messageId: 1,
    type,
    link: null,
    class: "person",
    uncounted: "",
    web: null,
    ...more,
  });
  const sums = (clicks: number, opens: number, optOut: number) => ({
    totalRecipientClick: clicks,
    totalRecipientOpen: opens,
    mirrorPage: 0,
    optOut,
  });

  function accounts(): ReadersAccounts & { made: Made } {
    const made = nothingMade();
    const to = "ann@x.example";
    made.hits.push(
      { to, kind: "opened", link: 0, who: "people", counts: true },
      { to, kind: "opened", link: 0, who: "people", counts: false },
      { to, kind: "clicked", link: 3, who: "people", counts: true },
      { to, kind: "clicked", link: 3, who: "machines", counts: true },
      { to, kind: "unsubscribed", link: 0, who: "people", counts: true },
    );
    made.unsubscribed.add(to);
    return {
      made,
      counted: {
        hits: [
          hit("opened", { class: "proxy" }),
          hit("opened", { uncounted: "repeated" }),
          hit("clicked", { link: 3 }),
          hit("clicked", { link: 3, class: "scanner" }),
          hit("unsubscribed"),
        ],
        all: sums(2, 1, 1),
        people: sums(1, 1, 1),
        suppressed: new Set([to, "before@x.example"]),
      },
      ids: new Map([[to, 1]]),
      before: new Set(["before@x.example"]),
    };
  }

  test("finds nothing where both accounts agree", () => {
    expect(judgeReaders(accounts())).toEqual({
      clicks: { made: 2, counted: 2 },
      byPeople: { made: 1, counted: 1 },
      byMachines: { made: 1, counted: 1 },
      opens: { made: 1, counted: 1 },
      mirrors: { made: 0, counted: 0 },
      unsubscribed: 1,
      suppressed: 1,
      tampered: 0,
      complaints: [],
    });
  });

  test.each([
    [
      "a hit that is missing",
      (a) => a.counted.hits.slice(1),
      "1 hits were made and are not on record (message 1 opened 0 by people)",
    ],
    ["a hit twice", (a) => [...a.counted.hits, hit("clicked", { link: 3 })], "1 hits are on record and were not made"],
    [
      "a hit of somebody else",
      (a) => [...a.counted.hits, hit("opened", { messageId: 2 })],
      "(message 2 opened 0 by people)",
    ],
    [
      "a machine taken for a person",
      (a) => a.counted.hits.map((one) => ({ ...one, class: "person" as const })),
      "clicked 3 by machines",
    ],
    ["a repeated open that counts", (a) => a.counted.hits.map((one) => ({ ...one, uncounted: "" })), "in no sum"],
  ] as [string, (a: ReadersAccounts) => readonly CountedHit[], string][])("tells of %s", (_, change, sentence) => {
    const both = accounts();
    const { complaints } = judgeReaders({ ...both, counted: { ...both.counted, hits: change(both) } });
    expect(complaints.join("\n")).toContain(sentence);
  });

  test.each([
    ["sums of all", { all: sums(3, 1, 1) }, "2 clicks made, 3 counted"],
    ["sums of people", { people: sums(2, 1, 1) }, "1 clicks by machines made, 0 counted"],
    ["opens", { all: sums(2, 2, 1) }, "1 opens made, 2 counted"],
    ["unsubscriptions", { all: sums(2, 1, 2) }, "1 unsubscriptions made, 2 counted"],
    [
      "who is not suppressed",
      { suppressed: new Set(["before@x.example"]) },
      "unsubscribed and not suppressed: ann@x.example",
    ],
    [
      "who is suppressed for nothing",
      { suppressed: new Set(["ann@x.example", "bob@x.example"]) },
      "never unsubscribed: bob@x.example",
    ],
  ] as [string, Partial<ReadersAccounts["counted"]>, string][])("tells of %s", (_, change, sentence) => {
    const both = accounts();
    const { complaints } = judgeReaders({ ...both, counted: { ...both.counted, ...change } });
    expect(complaints.join("\n")).toContain(sentence);
  });

  test("tells of what readers found wrong, and not of a thousand times the same", () => {
    const both = accounts();
    for (let i = 0; i < 100; i++) both.made.wrong.push(`p${i}: link 1 should lead to a`);
    expect(judgeReaders(both).complaints).toHaveLength(6);
  });
});
