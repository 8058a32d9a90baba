import { describe, expect, test } from "vitest";
import { outcome, type Outcome } from "../../src/model/outcome.ts";
import { reasonOf } from "../../src/model/reason.ts";
import { type Attempted, settle } from "../../src/model/settle.ts";
import { shippedBounces } from "../support/bounce-rules.ts";

const NOW = Date.UTC(2026, 0, 1);
const message: Attempted = {
  attempts: 0,
  moves: 0,
  deliveredBefore: 0,
  retry: [300, 1800, 3600],
  deadline: NOW + 86_400_000,
  inDoubt: "retry",
};
/** random 0.5 is no jitter. */
const judge = (o: Outcome, m: Partial<Attempted> = {}) =>
  settle(o, { ...message, ...m }, NOW, 0.5, shippedBounces().judge);

describe("settle", () => {
  test.each<[string, Outcome, Partial<Attempted>, object]>([
    [
      "250 to the dot",
      outcome("accepted", "dot", { code: 250 }),
      {},
      { next: "record", status: "sent", dueAt: 0, reason: "" },
    ],
    [
      "550 5.1.1",
      outcome("rejected", "rcpt", { code: 550, enhanced: "5.1.1" }),
      {},
      { status: "failed", reason: "user-unknown" },
    ],
    [
      "554 without status",
      outcome("rejected", "dot", { code: 554, text: "no" }),
      {},
      { status: "failed", reason: "refused" },
    ],
    [
      "503 is about the dialogue",
      outcome("rejected", "mail", { code: 503 }),
      {},
      { status: "deferred", dueAt: NOW + 300_000 },
    ],
    [
      "530 5.7.0 is about the message's path",
      outcome("rejected", "mail", { code: 530, enhanced: "5.7.0" }),
      {},
      { status: "failed", reason: "refused" },
    ],
    ["451", outcome("deferred", "rcpt", { code: 451 }), {}, { status: "deferred", dueAt: NOW + 300_000 }],
    ["451 the second time", outcome("deferred", "rcpt", { code: 451 }), { attempts: 1 }, { dueAt: NOW + 1_800_000 }],
    ["the last delay repeats", outcome("deferred", "rcpt", { code: 451 }), { attempts: 9 }, { dueAt: NOW + 3_600_000 }],
    [
      "no time left",
      outcome("deferred", "rcpt", { code: 451 }),
      { deadline: NOW + 1000 },
      { status: "failed", reason: "expired", dueAt: 0 },
    ],
    [
      "421 on a session that had delivered",
      outcome("deferred", "mail", { code: 421 }),
      { deliveredBefore: 3 },
      { next: "move" },
    ],
    [
      "421 again and again",
      outcome("deferred", "mail", { code: 421 }),
      { deliveredBefore: 3, moves: 2 },
      { status: "deferred" },
    ],
    ["421 on a fresh session", outcome("deferred", "mail", { code: 421 }), {}, { status: "deferred" }],
    ["connection lost before the dot", outcome("unreachable", "data"), {}, { next: "move" }],
    ["lost on every path", outcome("unreachable", "data"), { moves: 2 }, { status: "deferred", reason: "unreachable" }],
    ["DNS fails for now", outcome("unreachable", "resolve"), {}, { status: "deferred", reason: "unreachable" }],
    ["our own hold", outcome("unreachable", "local"), {}, { next: "hold" }],
    ["no such domain", outcome("unroutable", "resolve"), {}, { status: "failed", reason: "invalid-domain" }],
    ["broken variables", outcome("unrenderable", "local"), {}, { status: "failed", reason: "unrenderable" }],
    ["deadline", outcome("expired", "local"), {}, { status: "failed", reason: "expired" }],
    [
      "in doubt, retry",
      outcome("in-doubt", "dot"),
      {},
      { status: "deferred", event: "in-doubt", dueAt: NOW + 300_000 },
    ],
    [
      "in doubt, retry, no time left",
      outcome("in-doubt", "dot"),
      { deadline: NOW },
      { status: "in-doubt", event: "in-doubt" },
    ],
    ["in doubt, hold", outcome("in-doubt", "dot"), { inDoubt: "hold" }, { status: "in-doubt", event: "in-doubt" }],
    [
      "in doubt, assume-sent",
      outcome("in-doubt", "dot"),
      { inDoubt: "assume-sent" },
      { status: "sent", event: "in-doubt" },
    ],
  ])("%s", (_, o, m, expected) => {
    expect(judge(o, m)).toMatchObject(expected);
  });

  test("jitter stays within a tenth", () => {
    for (const random of [0, 0.25, 0.999]) {
      const s = settle(outcome("deferred", "rcpt", { code: 451 }), message, NOW, random, shippedBounces().judge);
      if (s.next !== "record") throw new Error("not recorded");
      expect(Math.abs(s.dueAt - NOW - 300_000)).toBeLessThanOrEqual(30_000);
    }
  });
});

describe("reasonOf", () => {
  test.each<[Partial<Outcome>, string]>([
    [{ code: 550, enhanced: "5.1.1" }, "user-unknown"],
    [{ code: 550, text: "No such user here" }, "user-unknown"],
    [{ code: 452, enhanced: "4.2.2" }, "mailbox-full"],
    [{ code: 552, text: "Mailbox is full" }, "mailbox-full"],
    [{ code: 552, text: "message size exceeds limit" }, "too-large"],
    [{ code: 451, enhanced: "4.7.1", text: "Greylisted, come back" }, "greylisted"],
    [{ code: 421, text: "too many connections" }, "rate-limited"],
    [{ code: 550, enhanced: "5.7.1" }, "refused"],
    [{ code: 550, enhanced: "5.7.515" }, "refused"],
    [{ code: 550, enhanced: "5.2.1" }, "account-disabled"],
    [{ code: 554, text: "whatever" }, "other"],
  ])("%o is %s", (parts, reason) => {
    expect(reasonOf(outcome("rejected", "rcpt", parts), shippedBounces().judge)).toBe(reason);
  });
});
