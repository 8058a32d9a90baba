/** A member whose connection was lost comes back: what it says it used is what it used. */
import { expect, test } from "vitest";
import { EXCHANGER, PERIOD, T0, openTestEngine, rule } from "./engine-parts.ts";

test("a grant it never heard is not given back a second time when it takes the request back", () => {
  const on = openTestEngine([rule({ messagesPerHour: 1200 })]);
  const before = on.join("a/0");
  const conn = before.acquire();
  expect(before.grants).toHaveLength(1);
  const [first] = before.grants;
  before.say({ t: "return", conn, back: [[T0, first!.messages - 5]] });
  before.say({ t: "more", id: 99, conn, messages: 10, urgent: false });
  expect(before.grants.at(-1)).toMatchObject({ id: 99, messages: 10 });
  // That one is on its way when the connection breaks: five were used, and the client still waits for an answer to 99.
  before.leave();
  const minute = [T0, 5] as const;
  const held = [{ conn, site: "a.example", publicId: 1, exchanger: EXCHANGER, granted: 5 }];
  const after = on.join("a/0", {
    held,
    used: [{ counter: "all|1|", used: [minute, minute, [T0 - 10 * 3_600_000, 5]] }],
  });
  const spent = (): number => on.engine.counters(on.now)[0]!.spent;
  expect(spent()).toBe(5);
  after.say({ t: "cancel", id: 99 });
  expect(spent()).toBe(5);
  on.pass(PERIOD);
  expect(spent()).toBe(0);
});
