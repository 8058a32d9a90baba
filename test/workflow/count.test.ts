/** Hits counted into a real database: what each changes, and that all sums are what the raw rows say. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { reactionsOf } from "../../src/db/tracking-reports.ts";
import { NOT_ASKED } from "../../src/db/tracking-state.ts";
import { VISITOR_CLASSES, type TrackingRecord } from "../../src/model/tracking.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import type { TestDelivery } from "../support/ledger.ts";
import {
  APPLE,
  CHROME,
  type Counter,
  GMAIL,
  hit,
  keptSums,
  NOW,
  openCounter,
  reckonedSums,
  sentDelivery,
} from "../support/tracking.ts";

let db: TestDatabase;
let d: TestDelivery;
let counter: Counter;
let epoch = 0;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  d = await sentDelivery(db.sql, 5);
  counter = await openCounter(db.sql, ++epoch);
});
// oxlint-disable-next-line vitest/no-standalone-expect -- holds behind every test
afterEach(async () => expect(await keptSums(db.sql)).toEqual(await reckonedSums(db.sql)));

/** Of the delivery: rows as `kind class rule uncounted`. */
async function rows(): Promise<string[]> {
  const found = await db.sql<{ kind: number; class: number; rule: string; uncounted: string }[]>`
    select kind, class, rule, uncounted from tracking where delivery_id = ${d.id} order by at, id`;
  return found.map((r) =>
    `${"ocumpt"[r.kind]} ${VISITOR_CLASSES[r.class]} ${r.rule} ${r.uncounted}`.trim().replace("  ", " "),
  );
}
const person = (over: Partial<TrackingRecord>): TrackingRecord => hit({ message: d.firstId, ...over });

describe("opens", () => {
  test("of one message within a minute are one, in one batch or in several", async () => {
    await counter.take([0, 10, 59].map((s) => person({ kind: "open", at: NOW + s * 1000 })));
    await counter.take([59.9, 60, 61, 130].map((s) => person({ kind: "open", at: NOW + s * 1000 })));
    expect(await rows()).toEqual([
      "o person",
      "o person repeated",
      "o person repeated",
      "o person repeated",
      "o person",
      "o person repeated",
      "o person",
    ]);
    expect((await reactionsOf(db.sql, d.id))?.all).toMatchObject({ totalRecipientOpen: 3, recipientOpen: 1 });
  });

  test("of Apple's proxy do not hide the reader's, who opens right behind it", async () => {
    await counter.take([person({ kind: "open", userAgent: APPLE }), person({ kind: "open", at: NOW + 5000 })]);
    expect(await rows()).toEqual(["o prefetch apple-privacy", "o person"]);
    const told = await reactionsOf(db.sql, d.id);
    expect(told?.all).toMatchObject({ totalRecipientOpen: 2, recipientOpen: 1 });
    expect(told?.people).toMatchObject({ totalRecipientOpen: 1, recipientOpen: 1 });
  });

  test("by proxies are people's, prefetches and scanners are not", async () => {
    await counter.take([
      person({ kind: "open", userAgent: GMAIL }),
      hit({ kind: "open", message: d.firstId + 1, userAgent: APPLE }),
      hit({ kind: "open", message: d.firstId + 2, userAgent: "curl/8" }),
    ]);
    const told = await reactionsOf(db.sql, d.id);
    expect(told?.all.recipientOpen).toBe(3);
    expect(told?.people.recipientOpen).toBe(1);
  });

  test("that come late, from another log, count when they are a minute away from the last", async () => {
    await counter.take([person({ kind: "open", at: NOW + 600_000 })]);
    await counter.take([person({ kind: "open", at: NOW }), person({ kind: "open", at: NOW + 599_000 })]);
    expect(await rows()).toEqual(["o person", "o person repeated", "o person"]);
  });

  test("a million of one message are one row of sums and cost no more for it", async () => {
    const many = Array.from({ length: 5000 }, (_, i) => person({ kind: "open", at: NOW + i }));
    await counter.take(many);
    await counter.take(many);
    expect((await reactionsOf(db.sql, d.id))?.all.totalRecipientOpen).toBe(1);
  });
});

describe("clicks", () => {
  test("each count; messages and links are told apart", async () => {
    await counter.take([
      person({ link: 1 }),
      person({ link: 1, at: NOW + 20_000 }),
      hit({ message: d.firstId + 1, link: 2, at: NOW + 300_000 }),
    ]);
    expect((await reactionsOf(db.sql, d.id))?.people).toMatchObject({
      recipientOpen: 2,
      recipientClick: 2,
      totalRecipientClick: 3,
      personClick: 3,
      totalRecipientOpen: 0,
    });
  });

  test("of one visitor with a cookie are one person, who may come from several mails", async () => {
    await counter.take([person({ visitor: "v1" }), person({ visitor: "v1", at: NOW + 20_000 })]);
    await counter.take([person({ visitor: "v1", at: NOW + 40_000 }), hit({ message: d.firstId + 1, visitor: "v1" })]);
    await counter.take([person({ visitor: "v2", at: NOW + 60_000 }), person({ at: NOW + 80_000 })]);
    expect((await reactionsOf(db.sql, d.id))?.people).toMatchObject({ personClick: 3, recipientClick: 2, forward: 1 });
  });

  test("on a link of another delivery are kept and count nowhere", async () => {
    const other = await sentDelivery(db.sql, 1);
    await counter.take([person({ delivery: other.id, link: 3 }), person({ delivery: d.id, at: NOW + 20_000 })]);
    expect(await rows()).toEqual(["c person foreign", "c person"]);
    expect((await reactionsOf(db.sql, other.id))?.all.totalRecipientClick).toBe(0);
  });

  test("of the anonymous count in the delivery of the link, not among its recipients", async () => {
    await counter.take([
      hit({ delivery: d.id, visitor: "a" }),
      hit({ delivery: d.id }),
      hit({ delivery: d.id, kind: "open" }),
    ]);
    expect((await reactionsOf(db.sql, d.id))?.people).toMatchObject({
      totalRecipientClick: 2,
      totalRecipientOpen: 1,
      recipientClick: 0,
      recipientOpen: 0,
      personClick: 2,
    });
  });

  test("on the trap show the machine, and are no clicks", async () => {
    await counter.take([person({ link: 1 }), person({ link: 9, hint: "trap", at: NOW + 5000 })]);
    expect(await rows()).toEqual(["c scanner burst", "c scanner trap trap"]);
    expect((await reactionsOf(db.sql, d.id))?.all.totalRecipientClick).toBe(1);
  });
});

test("a trap that was followed in an earlier batch, with nothing else, makes the clicks behind it a machine's", async () => {
  await counter.take([person({ link: 9, hint: "trap" })]);
  await counter.take([person({ link: 1, at: NOW + 9000 })]);
  await counter.take([person({ link: 1, at: NOW + 11_000 })]);
  expect(await rows()).toEqual(["c scanner trap trap", "c scanner burst", "c person"]);
});

describe("a burst", () => {
  const clicks = (links: readonly number[], from = 0): TrackingRecord[] =>
    links.map((link, i) => person({ link, at: NOW + (from + i) * 2000, visitor: "v" }));

  test("makes machines of all its clicks, in one batch", async () => {
    await counter.take(clicks([1, 2, 3, 4]));
    expect(new Set(await rows())).toEqual(new Set(["c scanner burst"]));
    expect((await reactionsOf(db.sql, d.id))?.people.recipientClick).toBe(0);
  });

  test("takes back what was counted before: clicks, recipients, visitors, links", async () => {
    for (const [i, link] of [1, 2, 3].entries()) await counter.take(clicks([link], i));
    expect((await reactionsOf(db.sql, d.id))?.people).toMatchObject({
      totalRecipientClick: 3,
      recipientClick: 1,
      personClick: 1,
    });
    await counter.take(clicks([4], 3));
    expect(await rows()).toEqual(Array.from({ length: 4 }, () => "c scanner burst"));
    const told = await reactionsOf(db.sql, d.id);
    expect(told?.people).toMatchObject({ totalRecipientClick: 0, recipientClick: 0, personClick: 0, recipientOpen: 0 });
    expect(told?.all).toMatchObject({ totalRecipientClick: 4, recipientClick: 1, personClick: 1, recipientOpen: 1 });
  });

  test("leaves the click of half an hour before, and what other readers did", async () => {
    await counter.take([person({ link: 1, at: NOW - 1_800_000 }), hit({ message: d.firstId + 1, link: 2 })]);
    await counter.take(clicks([1, 2, 3, 4]));
    expect((await reactionsOf(db.sql, d.id))?.people).toMatchObject({ totalRecipientClick: 2, recipientClick: 2 });
  });

  test("takes the opens of the same program with it, and a reader may open right after", async () => {
    await counter.take([person({ kind: "open", at: NOW - 1000 })]);
    await counter.take(clicks([1, 2, 3, 4]));
    await counter.take([person({ kind: "open", at: NOW + 20_000, ip: "198.51.100.0" })]);
    expect((await rows()).filter((r) => r.startsWith("o"))).toEqual(["o scanner burst", "o person"]);
    expect((await reactionsOf(db.sql, d.id))?.people).toMatchObject({ totalRecipientOpen: 1, recipientOpen: 1 });
  });

  test("takes what the same program opens right behind it, also when that is pulled later", async () => {
    await counter.take(clicks([1, 2, 3, 4]));
    await counter.take([person({ kind: "open", at: NOW + 7000 })]);
    await counter.take([person({ kind: "mirror", at: NOW + 8000 })]);
    await counter.take([person({ kind: "open", at: NOW + 9000, ip: "198.51.100.0" })]);
    expect((await rows()).filter((r) => !r.startsWith("c"))).toEqual([
      "o scanner burst",
      "m scanner burst",
      "o person",
    ]);
  });

  test("is found over two logs that are counted one after the other, in the wrong order", async () => {
    await counter.take(clicks([3, 4], 2));
    await counter.take(clicks([1, 2]));
    expect((await reactionsOf(db.sql, d.id))?.people.totalRecipientClick).toBe(0);
  });
});

test("one program that goes through the mail of many is a machine, from the first of the batch on", async () => {
  const many = await sentDelivery(db.sql, 300);
  const sweep = (from: number, to: number): TrackingRecord[] =>
    Array.from({ length: to - from }, (_, i) =>
      hit({ message: many.firstId + from + i, at: NOW + (from + i) * 20, ip: `198.51.100.${(i * 7) % 256}` }),
    );
  await counter.take([...sweep(0, 150), hit({ message: d.firstId, ip: "203.0.113.9" })]);
  await counter.take(sweep(150, 300));
  expect((await reactionsOf(db.sql, many.id))?.people.totalRecipientClick).toBe(0);
  expect((await reactionsOf(db.sql, d.id))?.people.totalRecipientClick).toBe(1);
  // Without an address nobody can tell one program from many readers.
  const blind = await sentDelivery(db.sql, 200);
  await counter.take(Array.from({ length: 200 }, (_, i) => hit({ message: blind.firstId + i, ip: "" })));
  expect((await reactionsOf(db.sql, blind.id))?.people.totalRecipientClick).toBe(200);
});

describe("unsubscribing", () => {
  const ask = (over: Partial<TrackingRecord> = {}): TrackingRecord =>
    person({ kind: "unsubscribe", method: "POST", hint: "one-click", userAgent: "", ...over });
  const suppression = (): Promise<object[]> =>
    db.sql<object[]>`select reason, source, note, expires_at from suppression where address = 'r0@example.com'`;
  beforeEach(async () => void (await db.sql`delete from suppression`));

  test("suppresses the address in the same commit, once, whoever asks", async () => {
    await counter.take([ask(), ask({ at: NOW + 100 })]);
    await counter.take([ask({ hint: "page", at: NOW + 5000 })]);
    expect(await suppression()).toEqual([
      { reason: "unsubscribed", source: "one-click", note: `delivery ${d.id}, message ${d.firstId}`, expires_at: null },
    ]);
    expect(await rows()).toEqual(["u person", "u person repeated", "u person repeated"]);
    expect((await reactionsOf(db.sql, d.id))?.people.optOut).toBe(1);
  });

  test("leaves a suppression that is there for ever, and makes one of a time for ever", async () => {
    await db.sql`insert into suppression (address, reason, source) values ('r0@example.com', 'bounced', 'inmail')`;
    await counter.take([ask()]);
    expect(await suppression()).toMatchObject([{ reason: "bounced", source: "inmail" }]);
    await db.sql`update suppression set expires_at = now() + interval '1 day'`;
    await counter.take([ask({ at: NOW + 1000 })]);
    expect(await suppression()).toMatchObject([{ reason: "unsubscribed", expires_at: null }]);
  });

  test("of a message that is not kept any more is a row without an effect", async () => {
    await db.sql`drop table ${db.sql(`message_${Math.floor(d.firstId / 2 ** 32)}`)}`;
    expect(await counter.take([ask(), hit({ message: 77, kind: "unsubscribe" })])).toBe("counted");
    expect(await db.sql`select 1 from suppression`).toHaveLength(0);
  });
});

describe("a message that is not kept any more", () => {
  test("is counted for the delivery its link names, from then on", async () => {
    await db.sql`drop table ${db.sql(`message_${Math.floor(d.firstId / 2 ** 32)}`)}`;
    await counter.take([person({ kind: "open" })]);
    await counter.take([person({ delivery: d.id, at: NOW + 20_000 }), person({ kind: "open", at: NOW + 90_000 })]);
    expect((await reactionsOf(db.sql, d.id))?.all).toMatchObject({
      recipientOpen: 1,
      totalRecipientOpen: 1,
      recipientClick: 1,
      totalRecipientClick: 1,
    });
  });
});

test("web tracking sums purchases, and numbers nobody can have", async () => {
  const buy = (amount: number, articles: number): TrackingRecord =>
    person({ kind: "transaction", web: { tag: "order", amount, articles, more: [["sku\0", "\ud800x"]] } });
  await counter.take([buy(0.1, 1), buy(0.2, 2), buy(1e300, 1e300), buy(-5, 1), person({ kind: "page", web: null })]);
  expect((await reactionsOf(db.sql, d.id))?.people).toMatchObject({
    amount: -4.7,
    article: 4,
    transaction: 4,
    webPage: 1,
    totalWebPage: 5,
  });
  const [row] = await db.sql<
    { web: object }[]
  >`select web from tracking where delivery_id = ${d.id} order by id limit 1`;
  expect(row?.web).toEqual({ tag: "order", amount: 0.1, articles: 1, more: [["sku\ufffd", "\ufffdx"]] });
});

test("of hits before the message was sent, or at once, none is a reader's", async () => {
  const fresh = await sentDelivery(db.sql, 3, { sentAt: NOW });
  await counter.take([
    hit({ message: fresh.firstId, at: NOW - 500 }),
    hit({ message: fresh.firstId, at: NOW + 1500, kind: "open", userAgent: GMAIL }),
    hit({ message: fresh.firstId, at: NOW + 9000, userAgent: CHROME }),
  ]);
  d = fresh;
  expect(await rows()).toEqual(["c scanner early", "o prefetch early-proxy", "c person"]);
});

test("when a message was sent is looked up only for hits from before its delivery had ended", async () => {
  d = await sentDelivery(db.sql, 2, { sentAt: NOW });
  await db.sql`update delivery set finished_at = ${new Date(NOW + 60_000)} where id = ${d.id}`;
  const sentAt = async (): Promise<number> =>
    (await db.sql<{ at: number }[]>`select sent_at as at from reaction where message_id = ${d.firstId}`)[0]!.at;
  await counter.take([person({ at: NOW + 62_000 })]);
  expect(await sentAt()).toBe(NOT_ASKED);
  // From another log, late.
  await counter.take([person({ at: NOW + 30_000, link: 2 })]);
  expect(await sentAt()).toBe(NOW);
  await counter.take([person({ at: NOW + 1000, link: 3 }), hit({ message: d.firstId + 1, at: NOW + 500 })]);
  expect(await rows()).toEqual(["c scanner early", "c scanner early", "c person", "c person"]);
});
