/** What the demo says at the end: the numbers of --json, and that nothing off passes for well. */
import { describe, expect, test } from "vitest";
import { LEAST, parseOptions } from "../../demo/options.ts";
import { summarise, table } from "../../demo/table.ts";
import { RULE } from "../../demo/settings.ts";
import type { Outcome } from "../../demo/table.ts";

const OUTCOME: Outcome = {
  counters: {
    accepted: 1000,
    pending: 0,
    claimed: 0,
    deferred: 0,
    sent: 900,
    failed: 95,
    bounced: 0,
    excluded: 5,
    cancelled: 0,
    inDoubt: 0,
  },
  judgement: {
    lost: 0,
    duplicates: 0,
    duplicatesInDoubt: 0,
    deferredThenSent: 120,
    failedByReason: new Map([
      ["mailbox-full", 10],
      ["user-unknown", 85],
    ]),
    complaints: [],
  },
  report: {
    hosts: [{ host: "mx.starttls.example", messages: 40, bytes: 4000, overTls: 40 }],
    file: "",
    samples: [],
    letters: { file: "", kept: [] },
    total: 900,
    firstAt: 1,
    peak: 700,
    counts: [
      { name: "mx.starttls.example", character: "starttls", connections: 3, refused: 0, dropped: 0 },
      { name: "nomx.example", character: "no MX", connections: 1, refused: 2, dropped: 1 },
    ],
  },
  dkimVerified: 60,
  dkimFailed: 0,
  seconds: 2,
  firstMessageMs: 80,
  sample: "/tmp/x/message.eml",
  stat: { sites: 2, attempts: 1020 },
  readers: {
    clicks: { made: 300, counted: 300 },
    byPeople: { made: 60, counted: 60 },
    byMachines: { made: 240, counted: 240 },
    opens: { made: 100, counted: 100 },
    mirrors: { made: 5, counted: 5 },
    unsubscribed: 7,
    suppressed: 7,
    tampered: 12,
    complaints: [],
  },
};

describe("summarise", () => {
  test("has the numbers of --json", () => {
    expect(summarise(OUTCOME)).toMatchObject({
      accepted: 1000,
      excluded: 5,
      sent: 900,
      failed: 95,
      pending: 0,
      deferredThenSent: 120,
      lost: 0,
      duplicates: 0,
      dkimVerified: 60,
      dkimFailed: 0,
      messagesPerSecond: 498,
      seconds: 2,
      failedByReason: { "user-unknown": 85, "mailbox-full": 10 },
      clicksMade: 300,
      clicksCounted: 300,
      opensMade: 100,
      opensCounted: 100,
      unsubscribed: 7,
      suppressed: 7,
      ok: true,
    });
  });

  test.each([
    ["a signature that does not verify", { dkimFailed: 1 }],
    ["too few signatures looked at", { dkimVerified: 49 }],
    ["no signature looked at", { dkimVerified: 0 }],
    ["attempts stat has not counted", { stat: { sites: 2, attempts: 899 } }],
    [
      "an exchanger asked for more connections than its rule allows",
      {
        report: {
          ...OUTCOME.report,
          counts: [{ name: RULE.mx, character: "limit", connections: 9, refused: 1, dropped: 0 }],
        },
      },
    ],
    ["a complaint about readers", { readers: { ...OUTCOME.readers, complaints: ["60 clicks made, 59 counted"] } }],
    ["no machine among the readers", { readers: { ...OUTCOME.readers, byMachines: { made: 0, counted: 0 } } }],
    ["nobody who unsubscribed", { readers: { ...OUTCOME.readers, unsubscribed: 0, suppressed: 0 } }],
    ["a complaint of the judgement", { judgement: { ...OUTCOME.judgement, complaints: ["1 × lost (a@x.example)"] } }],
  ] as [string, Partial<Outcome>][])("is not ok with %s", (_, parts) => {
    const summary = summarise({ ...OUTCOME, ...parts });
    expect(summary.ok).toBe(false);
    expect(summary.complaints.length).toBe(1);
  });
});

test("table names every exchanger and what it did", () => {
  const text = table(summarise(OUTCOME), OUTCOME.report);
  expect(text).toMatch(/deferred, then sent +120$/m);
  expect(text).toMatch(/user-unknown +85$/m);
  expect(text).toMatch(/mx\.starttls\.example +40 messages +3 connections .*40 over TLS/);
  expect(text).toMatch(/nomx\.example +0 messages .*refused 2 ×, hung up 1 ×/);
});

describe("parseOptions", () => {
  test("has defaults, and takes what it is given", () => {
    expect(parseOptions([])).toEqual({ recipients: 5000, seed: 1, json: false, keep: false, help: false });
    expect(parseOptions(["--recipients", "300", "--seed", "9", "--json", "--keep"])).toEqual({
      recipients: 300,
      seed: 9,
      json: true,
      keep: true,
      help: false,
    });
  });

  test.each([["0"], [String(LEAST - 1)], ["many"], [""], ["1.5"], ["99999999"]])("refuses %j recipients", (text) => {
    expect(() => parseOptions(["--recipients", text])).toThrow("--recipients is a whole number");
  });

  test("refuses what it does not know", () => {
    expect(() => parseOptions(["--recipient", "300"])).toThrow("--recipient");
  });
});
