/** The sums of the tracking workflow as reports tell them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { linkStatistics, reactionsOf, trackingSources } from "../../src/db/tracking-reports.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { putDelivery } from "../support/ledger.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

describe("the indicators of a delivery", () => {
  test("are sums and what follows from them, for all hits and for people", async () => {
    const { id } = await putDelivery(db.sql, { addresses: ["a@x.example", "b@x.example", "c@x.example"] });
    await db.sql`
      insert into delivery_reactions (delivery_id, who, recipient_open, opens, recipient_click, person_click, clicks, opt_outs, mirror_pages, web_pages,
        transactions, amount, articles)
      values (${id}, 0, 4, 9, 2, 5, 7, 1, 1, 3, 2, 12.34, 6)`;
    const told = await reactionsOf(db.sql, id);
    expect(told?.all).toEqual({
      recipientOpen: 4,
      totalRecipientOpen: 9,
      recipientClick: 2,
      personClick: 5,
      totalRecipientClick: 7,
      optOut: 1,
      mirrorPage: 1,
      webPage: 3,
      transaction: 2,
      amount: 12.34,
      article: 6,
      totalWebPage: 5,
      estimatedRecipientOpen: 4,
      forward: 3,
      reactivity: 0.5,
    });
    expect(told?.people).toMatchObject({ recipientOpen: 0, totalRecipientClick: 0, reactivity: 0, forward: 0 });
  });

  test("of one in text alone have no estimate", async () => {
    const { id } = await putDelivery(db.sql, { addresses: ["a@x.example"], content: { html: "" } });
    await db.sql`insert into delivery_reactions (delivery_id, who, recipient_open) values (${id}, 0, 1)`;
    expect((await reactionsOf(db.sql, id))?.all).toMatchObject({ recipientOpen: 1, estimatedRecipientOpen: 0 });
  });

  test("of none that there is are none", async () => expect(await reactionsOf(db.sql, 999_999)).toBeNull());
});

test("hits by link are told by five minutes, by longer steps, and as a whole", async () => {
  const at = (text: string): Date => new Date(`2026-05-03T${text}:00Z`);
  await db.sql`
    insert into link_statistics (delivery_id, link, kind, bucket, person, machine) values
      (7, 1, 1, ${at("10:00")}, 1, 0), (7, 1, 1, ${at("10:05")}, 2, 5), (7, 2, 1, ${at("10:55")}, 4, 0), (7, 0, 0, ${at("11:00")}, 8, 1),
      (8, 1, 1, ${at("10:00")}, 100, 0)`;
  const fine = await linkStatistics(db.sql, 7, at("10:05"), at("11:05"));
  expect(fine.map((r) => [r.period.toISOString().slice(11, 16), r.link, r.kind, r.people, r.machines])).toEqual([
    ["10:05", 1, "click", 2, 5],
    ["10:55", 2, "click", 4, 0],
    ["11:00", 0, "open", 8, 1],
  ]);
  const hours = await linkStatistics(db.sql, 7, at("10:00"), at("11:00"), 3_600_000);
  expect(hours).toEqual([
    { link: 1, kind: "click", period: at("10:00"), people: 3, machines: 5 },
    { link: 2, kind: "click", period: at("10:00"), people: 4, machines: 0 },
  ]);
  expect(await linkStatistics(db.sql, 7, at("10:00"), at("11:05"), 0)).toHaveLength(3);
});

test("the redirection servers are told with what was pulled from them", async () => {
  await db.sql`
    insert into tracking_source (log, address, position, records, damaged, lost)
    values ('aa', 'http://r1', 10, 3, 1, 0), ('bb', 'http://r2', 0, 0, 0, 9), ('old', 'http://r1', 7, 7, 7, 7)`;
  await db.sql`
    insert into tracking_redirector (address, log, trouble) values ('http://r2', 'bb', 'no answer'), ('http://r1', 'aa', ''), ('http://r3', '', 'x')`;
  const told = await trackingSources(db.sql);
  expect(told.map((s) => [s.address, s.log, s.records, s.damaged, s.lost, s.trouble, s.newestAt])).toEqual([
    ["http://r1", "aa", 3, 1, 0, "", null],
    ["http://r2", "bb", 0, 0, 9, "no answer", null],
    ["http://r3", "", 0, 0, 0, "x", null],
  ]);
});
