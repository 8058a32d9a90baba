/** Where mail to a domain goes, as names: the DNS of strangers, a relay, and a DNS that does not answer. */
import { afterAll, expect, test } from "vitest";
import { parseSettings } from "../../../src/config/settings.ts";
import { openExchangers } from "../../../src/web/why/exchangers.ts";
import { handClock } from "../../support/clock.ts";
import { openDnsServer } from "../../support/dns-server.ts";

const dns = await openDnsServer({
  "two.example": {
    MX: [
      [20, "B.two.example."],
      [10, "z.two.example"],
      [10, "a.two.example"],
      [30, "a.two.example"],
    ],
  },
  "own.example": { A: ["192.0.2.1"] },
  "null.example": { MX: [[0, "."]] },
  "address.example": {
    MX: [
      [5, "bad name.example"],
      [10, "mx.address.example"],
    ],
  },
  "only-bad.example": { MX: [[5, "bad name.example"]] },
  "many.example": { MX: Array.from({ length: 50 }, (_, i) => [i, `mx${i}.many.example`] as const) },
  "fails.example": { rcode: "SERVFAIL" },
});
afterAll(() => dns.close());
const clock = handClock();
const settings = (mta: object = {}) =>
  parseSettings({ mta: { dns: { servers: [`127.0.0.1:${dns.port}`], timeoutMs: 1000 }, ...mta } }).mta;
const find = openExchangers(settings(), clock);

test.each<[string, object]>([
  ["two.example", { kind: "names", names: ["a.two.example", "z.two.example", "b.two.example"] }],
  ["TWO.example.", { kind: "names", names: ["a.two.example", "z.two.example", "b.two.example"] }],
  ["own.example", { kind: "names", names: ["own.example"] }],
  ["address.example", { kind: "names", names: ["mx.address.example"] }],
  ["null.example", { kind: "none", text: "the domain takes no mail: null.example" }],
  ["only-bad.example", { kind: "none" }],
  ["nowhere.example", { kind: "none", text: "no such domain: nowhere.example" }],
  ["fails.example", { kind: "none", text: "no answer from the DNS (MX fails.example): ESERVFAIL" }],
  ["not a domain\u001b[2J", { kind: "none", text: "not a domain: not a domain [2j" }],
  [`${"x".repeat(64)}.example`, { kind: "none" }],
  ["", { kind: "none" }],
])("%s", async (domain, expected) => {
  expect(await find(domain)).toMatchObject(expected);
});

test("no more names than an mta takes", async () => {
  const found = await find("many.example");
  expect(found).toMatchObject({ names: { length: 20 } });
});

test("what was found is kept a minute, what failed is asked again", async () => {
  const asked = (name: string): number => dns.queries.filter((query) => query === `MX ${name}`).length;
  const again = openExchangers(settings(), clock);
  const before = [asked("two.example"), asked("fails.example")];
  await Promise.all([again("two.example"), again("two.example"), again("fails.example")]);
  await again("two.example");
  await again("fails.example");
  expect([asked("two.example") - before[0]!, asked("fails.example") - before[1]!]).toEqual([1, 2]);
  clock.jump(-3_600_000);
  await clock.advance(61_000);
  await again("two.example");
  expect(asked("two.example") - before[0]!).toBe(2);
});

test("a relay takes everything, and nothing is asked", async () => {
  const relayed = openExchangers(settings({ relay: { host: "Relay.example" } }), clock);
  const before = dns.queries.length;
  expect(await relayed("two.example")).toEqual({ kind: "names", names: ["relay.example"] });
  expect(dns.queries.length).toBe(before);
});
