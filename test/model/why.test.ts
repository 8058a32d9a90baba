/** From facts to a sentence: what the ledger knows decides first, and hostile texts do nothing. */
import { describe, expect, test } from "vitest";
import type { LastEvent, MessageFacts, TrafficFacts, WhyHold } from "../../src/model/why-facts.ts";
import { sentenceOf } from "../../src/model/why-text.ts";
import { byWeight, whyByLedger, whyByTraffic } from "../../src/model/why.ts";

const NOW = Date.UTC(2026, 4, 1, 12);
const MINUTE = 60_000;

const event = (parts: Partial<LastEvent>): LastEvent => ({
  type: "deferred",
  at: NOW - MINUTE,
  code: 0,
  enhanced: "",
  stage: "dot",
  reason: "",
  reply: "",
  mx: "",
  ...parts,
});

function facts(parts: Partial<MessageFacts> = {}, delivery: Partial<MessageFacts["delivery"]> = {}): MessageFacts {
  return {
    status: "pending",
    reason: "",
    attempts: 0,
    acceptedAt: NOW - 10 * MINUTE,
    dueAt: 0,
    last: null,
    owner: "",
    partDueAt: NOW - 5 * MINUTE,
    mtas: 1,
    ...parts,
    delivery: {
      id: 7,
      state: "sending",
      stateReason: "",
      commandedBy: "",
      commandedAt: 0,
      createdAt: NOW - 20 * MINUTE,
      notBefore: 0,
      deadline: NOW + 1000 * MINUTE,
      ...delivery,
    },
  };
}

const hold = (kind: WhyHold["kind"], parts: Partial<WhyHold> = {}): WhyHold => ({
  kind,
  by: "rule google",
  text: `held by ${kind}`,
  since: 0,
  until: 0,
  publicId: null,
  ...parts,
});

const known = (...holds: WhyHold[]): TrafficFacts => ({ kind: "known", site: "mx.example.com", holds });

describe("the ledger decides", () => {
  test.each<[string, MessageFacts, object]>([
    [
      "sent",
      facts({
        status: "sent",
        attempts: 2,
        last: event({ type: "sent", code: 250, reply: "2.0.0 ok", mx: "mx.example.com" }),
      }),
      {
        state: "final",
        hold: null,
        sentence: "Sent at 2026-05-01 11:59:00 UTC to mx.example.com at the 2nd try: 250 2.0.0 ok.",
      },
    ],
    [
      "failed",
      facts({
        status: "failed",
        attempts: 1,
        reason: "user-unknown",
        last: event({ code: 550, reply: "5.1.1 no such user." }),
      }),
      {
        state: "final",
        sentence: "Failed at 2026-05-01 11:59:00 UTC after 1 try (user-unknown): 550 5.1.1 no such user.",
      },
    ],
    [
      "excluded",
      facts({ status: "excluded", reason: "suppressed: complained" }),
      { state: "final", sentence: "Never sent: excluded (suppressed: complained)." },
    ],
    [
      "in doubt",
      facts({ status: "in-doubt", last: event({ type: "in-doubt" }) }),
      { state: "waiting", hold: expect.objectContaining({ kind: "in-doubt", since: NOW - MINUTE }) },
    ],
    [
      "stopped, by whom and why",
      facts({}, { state: "stopped", commandedBy: "shop", commandedAt: NOW - MINUTE, stateReason: "wrong list" }),
      {
        state: "final",
        sentence: "Cancelled: delivery 7 was stopped by shop at 2026-05-01 11:59:00 UTC (wrong list).",
      },
    ],
    [
      "paused, by whom and why",
      facts(
        { status: "deferred", dueAt: NOW + MINUTE },
        { state: "paused", commandedBy: "alice", commandedAt: NOW, stateReason: "typo" },
      ),
      {
        state: "waiting",
        hold: expect.objectContaining({ kind: "paused", by: "alice", since: NOW, until: 0 }),
        sentence:
          "The delivery is paused: typo, set by alice, since 2026-05-01 12:00:00 UTC; until somebody resumes it.",
      },
    ],
    ["draft", facts({}, { state: "draft" }), { state: "waiting", hold: expect.objectContaining({ kind: "draft" }) }],
    [
      "notBefore",
      facts({}, { state: "ready", notBefore: NOW + MINUTE }),
      { state: "waiting", hold: expect.objectContaining({ kind: "schedule", by: "notBefore", until: NOW + MINUTE }) },
    ],
    [
      "next try",
      facts({
        status: "deferred",
        attempts: 3,
        dueAt: NOW + MINUTE,
        last: event({ code: 451, reply: "4.7.1 greylisted", mx: "mx.a" }),
      }),
      {
        state: "waiting",
        hold: expect.objectContaining({ kind: "schedule", since: NOW - MINUTE, until: NOW + MINUTE }),
        sentence:
          "Waits for its next try at 2026-05-01 12:01:00 UTC after mx.a said 451 4.7.1 greylisted; 3 tries so far.",
      },
    ],
    ["nobody there", facts({ mtas: 0 }), { state: "waiting", hold: expect.objectContaining({ kind: "no-mta" }) }],
    [
      "too late",
      facts({}, { deadline: NOW - 1 }),
      { state: "waiting", sentence: expect.stringContaining("deadline passed") },
    ],
  ])("%s", (_, given, expected) => expect(whyByLedger(given, NOW)).toMatchObject(expected));

  test.each([
    ["pending and due", facts()],
    ["deferred and due", facts({ status: "deferred", dueAt: NOW - 1 })],
    ["claimed", facts({ owner: "m1/0" })],
  ])("not: %s", (_, given) => expect(whyByLedger(given, NOW)).toBeNull());

  test("what a server or a person wrote is one harmless line", () => {
    const evil = "\u001b[31m550\r\nFake: line\u202e";
    for (const given of [
      facts({ status: "failed", reason: evil, last: event({ reply: evil, mx: evil }) }),
      facts({ status: "sent", last: event({ reply: evil, mx: evil, code: 250 }) }),
      facts({ status: "deferred", dueAt: NOW + 1, last: event({ reply: evil, mx: evil }) }),
      facts({}, { state: "paused", stateReason: evil, commandedBy: evil }),
      facts({}, { state: "stopped", stateReason: evil, commandedBy: evil }),
    ]) {
      const text = JSON.stringify(whyByLedger(given, NOW));
      expect(text).toContain("Fake: line");
      expect(text).not.toMatch(/\\u001b|\\r|\\n|\u202e/);
    }
  });
});

describe("traffic decides the rest", () => {
  test("the hold that matters most is told, all are listed", () => {
    const suspended = hold("suspension", { by: "alice", text: "suspended: complaints", since: NOW - MINUTE });
    const why = whyByTraffic(facts({ owner: "m1/0" }), known(hold("connections"), suspended, hold("quota")), NOW);
    expect(why.hold).toBe(suspended);
    expect(why.holds.map(({ kind }) => kind)).toEqual(["suspension", "quota", "connections"]);
    expect(why.sentence).toBe(
      "Suspended: complaints, set by alice, since 2026-05-01 11:59:00 UTC; until somebody resumes it.",
    );
  });
  test("of two of a kind the longer one", () => {
    const long = hold("back-off", { until: NOW + 5 });
    expect(byWeight([hold("back-off", { until: NOW + 1 }), long])[0]).toBe(long);
    expect(byWeight([long, hold("back-off")])[0]?.until).toBe(0);
  });
  test("no hold: a machine has it", () => {
    expect(whyByTraffic(facts({ owner: "m1/0" }), known(), NOW)).toMatchObject({ state: "moving", hold: null });
  });
  test("no hold: nobody has it, since when", () => {
    const why = whyByTraffic(facts({ partDueAt: NOW - MINUTE }), known(), NOW);
    expect(why.hold).toMatchObject({ kind: "unclaimed", since: NOW - MINUTE });
  });
  test("no hold any more, and its part is looked at later", () => {
    const why = whyByTraffic(facts({ partDueAt: NOW + MINUTE }), known(), NOW);
    expect(why.hold).toMatchObject({ kind: "schedule", until: NOW + MINUTE });
  });
  test("the DNS does not say where", () => {
    const why = whyByTraffic(facts(), { kind: "dns", text: "no answer\u001b[0m from the DNS" }, NOW);
    expect(why.hold).toMatchObject({ kind: "dns", text: "no answer [0m from the DNS" });
  });
  test("no statistics server: what the database knows is told, and that the rest is not known", () => {
    const away = { kind: "away", text: "no statistics server answers", holds: [] } as const;
    expect(whyByTraffic(facts(), away, NOW)).toMatchObject({ state: "unknown", hold: { kind: "stat" } });
    const why = whyByTraffic(facts(), { ...away, holds: [hold("suspension")] }, NOW);
    expect(why).toMatchObject({ state: "waiting", hold: { kind: "suspension" } });
  });
  test.each([
    ["quota", "moves when the next period begins"],
    ["connections", "moves when a connection is given back"],
    ["unreachable", "tried again by itself"],
  ] as const)("%s says what ends it", (kind, end) => {
    expect(sentenceOf(hold(kind))).toBe(`Held by ${kind}, set by rule google; ${end}.`);
    expect(sentenceOf(hold(kind, { until: NOW }))).toContain("; moves at 2026-05-01 12:00:00 UTC.");
  });
});
