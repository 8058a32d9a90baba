/** When a delivery will be through: what decides, and what the estimate says of itself. */
import { expect, test } from "vitest";
import { type EtaFacts, estimate, type OpenAtSite, perHourOf } from "../../src/model/eta.ts";
import type { WhyHold } from "../../src/model/why-facts.ts";

const NOW = Date.UTC(2026, 4, 1, 12);
const HOUR = 3_600_000;

const site = (parts: Partial<OpenAtSite>): OpenAtSite => ({
  site: "mx.a.example,mx.b",
  open: 100,
  perHour: 0,
  rule: "a",
  stop: null,
  ...parts,
});
const stop = (until: number): WhyHold => ({
  kind: "suspension",
  by: "alice",
  text: "suspended: complaints",
  since: 1,
  until,
  publicId: null,
});

test.each<[string, Partial<EtaFacts>, object]>([
  ["nothing open", { open: 0 }, { at: 0, basis: "none" }],
  [
    "by rate",
    { open: 600, rate: 10 },
    { at: NOW + 60_000, basis: "rate", text: "600 at 10 a second, the rate of the last minute" },
  ],
  ["nothing moved", { open: 600, rate: 0 }, { at: 0, basis: "none", text: "nothing was sent in the last minute" }],
  [
    "a limit decides",
    { open: 1000, rate: 10, sites: [site({ open: 600, perHour: 1200 })] },
    {
      at: NOW + HOUR / 2,
      basis: "limits",
      text: "600 for mx.a.example at 1,200 an hour (rule a), if nothing else is sent there",
    },
  ],
  [
    "a limit that does not matter",
    { open: 1000, rate: 1, sites: [site({ open: 1, perHour: 1200 })] },
    { at: NOW + 999_000, basis: "rate" },
  ],
  [
    "a site without a limit",
    { open: 600, rate: 10, sites: [site({ open: 600 })] },
    { at: NOW + 60_000, basis: "rate" },
  ],
  [
    "only limited sites, and nothing moved",
    { open: 100, rate: 0, sites: [site({ perHour: 100 })] },
    { at: NOW + HOUR, basis: "limits" },
  ],
  [
    "a stop with an end",
    { open: 100, rate: 0, sites: [site({ perHour: 100, stop: stop(NOW + HOUR) })] },
    {
      at: NOW + 2 * HOUR,
      basis: "hold",
      text: "100 for mx.a.example at 100 an hour (rule a), if nothing else is sent there, not before 2026-05-01 13:00:00 UTC: suspended: complaints (alice)",
    },
  ],
  [
    "a stop without an end",
    { open: 1000, rate: 10, sites: [site({ stop: stop(0) })] },
    { at: 0, basis: "hold", text: "100 for mx.a.example wait without an end: suspended: complaints (alice)" },
  ],
  [
    "limits that are not known",
    { open: 10, rate: 10, limitsUnknown: "away\u001b" },
    { at: NOW + 1000, text: "10 at 10 a second, the rate of the last minute; limits are not known: away" },
  ],
  ["further than anybody waits", { open: 1e15, rate: 0.001 }, { at: 0 }],
])("%s", (_, facts, expected) => {
  expect(estimate({ now: NOW, open: 0, rate: 0, sites: [], limitsUnknown: "", ...facts })).toMatchObject(expected);
});

test.each([
  [{ messagesPerMinute: 0, messagesPerHour: 0, messagesPerDay: 0 }, 0],
  [{ messagesPerMinute: 10, messagesPerHour: 0, messagesPerDay: 0 }, 600],
  [{ messagesPerMinute: 10, messagesPerHour: 500, messagesPerDay: 0 }, 500],
  [{ messagesPerMinute: 10, messagesPerHour: 500, messagesPerDay: 240 }, 10],
])("%j is %d an hour", (limits, perHour) => expect(perHourOf(limits)).toBe(perHour));

test("a hostile name of a site is harmless", () => {
  const named = site({ site: "\u001b[2Jx\u202e", perHour: 1 });
  const { text } = estimate({ now: NOW, open: 100, rate: 0, sites: [named], limitsUnknown: "" });
  expect(text).toContain("100 for [2Jx at 1 an hour");
});
