/** A connection with messages in its hand: what is called back does not come into the hand again. */
import { expect, test } from "vitest";
import { BUILT_IN } from "../../src/model/mx-rules.ts";
import { type Connection, openConnection } from "../../src/quota/client/connection.ts";
import type { GivenBack } from "../../src/quota/messages.ts";

const LANE = { site: "a.example", mx: "mx.a.example", publicId: 1, localAddress: "" };

function open(): { conn: Connection; back: GivenBack[]; asked: number[] } {
  const back: GivenBack[] = [];
  const asked: number[] = [];
  const conn = openConnection(
    {
      monotonic: () => 0,
      valid: (until) => until > 1000,
      more: (_conn, messages) => void asked.push(messages),
      back: (_conn, some) => void back.push(...some),
      closed: (_conn, some) => void back.push(...some),
      dry() {},
      revoked() {},
    },
    {
      id: 1,
      lane: LANE,
      exchanger: { mx: "mx.a.example", ip: "192.0.2.1" },
      urgent: false,
      counter: "all|1|",
      limits: { ...BUILT_IN, rule: "all" },
      granted: 0,
    },
  );
  return { conn, back, asked };
}

test("rules have changed: what the mta had and did not use goes back too, not into the hand", () => {
  const { conn, back } = open();
  conn.take(7, 2000, 50);
  expect(conn.grant.messages(5, () => {})).toBe(5);
  conn.recall();
  expect(back).toEqual([[7, 45]]);
  conn.grant.unused(4);
  expect(back).toEqual([
    [7, 45],
    [7, 4],
  ]);
  expect(conn.grant.messages(5, () => {})).toBe(0);
  expect([conn.granted, conn.attempted, conn.inHand]).toEqual([1, 1, 0]);
});

test("what is granted after that is as good as ever", () => {
  const { conn, back } = open();
  conn.take(7, 2000, 1);
  conn.recall();
  conn.take(8, 2000, 10);
  expect(conn.grant.messages(3, () => {})).toBe(3);
  conn.grant.unused(1);
  expect(conn.inHand).toBe(8);
  conn.grant.close();
  expect(back).toEqual([
    [7, 1],
    [8, 8],
  ]);
});

test("what is void is given back before it is used", () => {
  const { conn, back, asked } = open();
  conn.take(7, 900, 10);
  expect(conn.grant.messages(3, () => {})).toBe(0);
  expect(back).toEqual([[7, 10]]);
  expect(asked).toEqual([50]);
});
