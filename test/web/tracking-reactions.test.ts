/** What readers did, read back: numbers that agree, files no spreadsheet runs, a stream that skips nothing and repeats nothing. */
import { beforeEach, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import type { ContentLink } from "../../src/model/delivery.ts";
import { openTestApi } from "../support/api.ts";
import { putHit, type TestHit } from "../support/hits.ts";
import { putDelivery } from "../support/ledger.ts";
import { until } from "../support/until.ts";

const api = await openTestApi({}, {}, silentLog);
const { sql } = api.db;
beforeEach(async () => {
  await sql`select tracking_month('2026-05-03'::date)`;
  await sql`truncate tracking, link_statistics, delivery_reactions`;
});

let count = 0;
async function delivery(
  addresses: string[] = ["a@x.example", "b@x.example"],
): Promise<{ id: number; firstId: number }> {
  const made = await putDelivery(sql, { addresses, content: { feedbackId: `r:${++count}` } });
  const link = (number: number, more: Partial<ContentLink> = {}): ContentLink => ({
    number,
    part: "html",
    url: `https://shop.example/${number}`,
    personalised: false,
    label: `Link ${number}`,
    category: number < 3 ? "shoes" : "",
    untracked: "",
    ...more,
  });
  const links = [link(1), link(2), link(3), link(4, { untracked: "off" })];
  await sql`update content set links = ${sql.json(links as never)} where hash = (select content_hash from delivery where id = ${made.id})`;
  return made;
}

const lines = (text: string): Record<string, unknown>[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test("of a delivery there is not: 404; of one nobody opened: noughts", async () => {
  for (const path of ["reactions", "reactions/links", "reactions.csv"])
    expect((await api.get(`/v1/deliveries/999999/${path}`)).status).toBe(404);
  const { id } = await delivery();
  expect((await api.get(`/v1/deliveries/${id}/reactions`)).body).toMatchObject({
    deliveryId: id,
    sent: 0,
    all: { recipientOpen: 0, openRate: 0, reactivity: 0, estimatedRecipientOpen: 0 },
    people: { totalRecipientClick: 0, clickRate: 0 },
  });
  expect((await api.get(`/v1/deliveries/${id}/reactions/links`)).body).toMatchObject({
    links: [{ number: 1, all: 0, people: 0, periods: [] }, { number: 2 }, { number: 3 }],
    categories: [],
    others: [],
  });
  expect((await api.get(`/v1/deliveries/${id}/reactions.csv`)).text).toMatch(/^id,at,type,[^\n]*\r\n$/);
});

test("indicators: for all hits and for people, with what follows from them", async () => {
  const { id } = await delivery(["a@x.example", "b@x.example", "c@x.example", "d@x.example"]);
  await sql`update part set pending = 0, sent = 3, failed = 1 where delivery_id = ${id}`;
  await sql`
    insert into delivery_reactions (delivery_id, who, recipient_open, opens, recipient_click, person_click, clicks, opt_outs, amount)
    values (${id}, 0, 3, 9, 2, 5, 7, 1, 0.1), (${id}, 1, 2, 2, 1, 1, 1, 1, 0.1)`;
  expect((await api.get(`/v1/deliveries/${id}/reactions`)).body).toEqual({
    deliveryId: id,
    sent: 3,
    all: expect.objectContaining({
      recipientOpen: 3,
      totalRecipientOpen: 9,
      personClick: 5,
      forward: 3,
      reactivity: 0.6667,
      openRate: 1,
      clickRate: 0.6667,
      optOutRate: 0.3333,
      amount: 0.1,
    }),
    people: expect.objectContaining({ recipientOpen: 2, forward: 0, reactivity: 0.5, openRate: 0.6667 }),
  });
});

test("links: hits by time, links nobody clicked, links that are not known any more, categories", async () => {
  const { id } = await delivery();
  const at = (text: string): Date => new Date(`2026-05-03T${text}:00Z`);
  await sql`
    insert into link_statistics (delivery_id, link, kind, bucket, person, machine) values
      (${id}, 1, 1, ${at("10:00")}, 1, 0), (${id}, 1, 1, ${at("10:05")}, 2, 5), (${id}, 2, 1, ${at("10:55")}, 4, 0),
      (${id}, 9, 1, ${at("10:55")}, 0, 3), (${id}, 0, 0, ${at("11:00")}, 8, 1), (${id}, 0, 2, ${at("11:00")}, 1, 0),
      (${id + 1}, 1, 1, ${at("10:00")}, 100, 0)`;
  const url = `/v1/deliveries/${id}/reactions/links?from=2026-05-03T10:02:00Z&to=2026-05-03T12:31:00%2B01:30`;
  const fine = await api.get(`${url}&step=300`);
  expect(fine.body).toEqual({
    deliveryId: id,
    from: "2026-05-03T10:00:00.000Z",
    to: "2026-05-03T11:05:00.000Z",
    step: 300,
    links: [
      {
        number: 1,
        part: "html",
        url: "https://shop.example/1",
        label: "Link 1",
        category: "shoes",
        all: 8,
        people: 3,
        periods: [
          { at: "2026-05-03T10:00:00.000Z", all: 1, people: 1 },
          { at: "2026-05-03T10:05:00.000Z", all: 7, people: 2 },
        ],
      },
      expect.objectContaining({ number: 2, all: 4, people: 4 }),
      expect.objectContaining({ number: 3, all: 0, people: 0, periods: [] }),
      { number: 9, part: null, url: null, label: "", category: "", all: 3, people: 0, periods: [expect.anything()] },
    ],
    categories: [
      { category: "shoes", all: 12, people: 7 },
      { category: "", all: 3, people: 0 },
    ],
    others: [
      { type: "opened", all: 9, people: 8, periods: [{ at: "2026-05-03T11:00:00.000Z", all: 9, people: 8 }] },
      { type: "unsubscribed", all: 1, people: 1, periods: [{ at: "2026-05-03T11:00:00.000Z", all: 1, people: 1 }] },
    ],
  });
  const whole = await api.get(`${url}&step=0`);
  expect(whole.body["links"][0]).toMatchObject({ all: 8, people: 3 });
  expect(whole.body["links"][0]).not.toHaveProperty("periods");
  const hours = await api.get(`${url}&step=3600`);
  expect(hours.body["links"][0]).toMatchObject({ periods: [{ at: "2026-05-03T10:00:00.000Z", all: 8, people: 3 }] });
});

test.each([
  ["step=301", "query.step"],
  ["step=-300", "query.step"],
  ["step=PT5M", "query.step"],
  ["step=999999999", "query.step"],
  ["from=yesterday", "query.from"],
  ["from=2026-05-03T10:00:00", "query.from"],
  ["from=2026-05-03T10:00:00Z&to=2026-05-02T10:00:00Z", "query.to"],
  ["since=2026-05-03T10:00:00Z", "query.since"],
])("links?%s is refused", async (query, path) => {
  const { id } = await delivery();
  expect(await api.get(`/v1/deliveries/${id}/reactions/links?${query}`)).toMatchObject({
    status: 400,
    body: { errors: [{ path }] },
  });
});

test("an answer that would be cut is refused; without a step it is made to fit", async () => {
  const { id } = await delivery();
  await sql`
    insert into link_statistics (delivery_id, link, kind, bucket, person)
    select ${id}, 1 + n % 50, 1, '2026-01-01T00:00:00Z'::timestamptz + (n / 50) * interval '5 min', 1 from generate_series(0, 59999) n`;
  const span = "from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z";
  expect(await api.get(`/v1/deliveries/${id}/reactions/links?${span}&step=300`)).toMatchObject({
    status: 400,
    body: { errors: [{ path: "query.step" }] },
  });
  const fitting = (await api.get(`/v1/deliveries/${id}/reactions/links?${span}`)).body;
  expect(fitting["step"]).toBe(21_600);
  expect(fitting["links"].reduce((sum: number, one: { all: number }) => sum + one.all, 0)).toBe(60_000);
});

test("nothing in the file is a formula, whoever wrote it", async () => {
  const { id, firstId } = await delivery(["=1+1@x.example", "b@x.example"]);
  const evil: Partial<TestHit>[] = [
    { agent: '=HYPERLINK("https://evil.example","x")' },
    { agent: "+1+1" },
    { agent: "-2+3" },
    { agent: "@SUM(A1)" },
    { agent: "\t=1+1" },
    { agent: "\r\n=1+1" },
    { agent: "Mozilla;=1+1;@x" },
    { agent: '","=1+1' },
    { agent: "\u202e\u200b=1+1" },
    { ip: "=1+1", visitor: "=1+1", hint: "=1+1" },
    { kind: "transaction", web: { tag: "=1+1", amount: -5, articles: 1, more: [["=a", "=b"]] } },
  ];
  for (const hit of evil) await putHit(sql, { delivery: id, message: firstId, link: 1, ...hit });
  const { text, headers } = await api.get(`/v1/deliveries/${id}/reactions.csv`);
  expect(headers["content-type"]).toBe("text/csv; charset=utf-8");
  expect(headers["content-disposition"]).toBe(`attachment; filename="reactions-${id}.csv"`);
  const rows = text.trimEnd().split("\r\n");
  expect(rows).toHaveLength(evil.length + 1);
  for (const separator of [",", ";"])
    for (const row of rows)
      for (const field of row.split(separator))
        expect(field.replace(/^"/, ""), row).not.toMatch(/^(?:[=+@\t\r]|-(?!5$))/);
});

test("the file has each hit with its address, link and reason, in order, over its pages", async () => {
  const { id, firstId } = await delivery();
  const first = await putHit(sql, {
    delivery: id,
    message: firstId + 1,
    link: 2,
    kind: "click",
    at: "2026-05-03T10:00:00.5Z",
    class: "scanner",
    rule: "burst",
  });
  await putHit(sql, { delivery: id, kind: "open", uncounted: "repeated" });
  await putHit(sql, { delivery: id + 1000 });
  await sql`
    insert into tracking (at, message_id, delivery_id, kind, class)
    select '2026-05-03T10:00:00Z', ${firstId}, ${id}, 0, 0 from generate_series(1, 4500)`;
  const rows = (await api.get(`/v1/deliveries/${id}/reactions.csv`)).text.trimEnd().split("\r\n");
  expect(rows).toHaveLength(4503);
  expect(rows[1]).toMatch(
    new RegExp(
      `^${first},2026-05-03T10:00:00\\.500Z,clicked,b@x\\.example,${firstId + 1},2,Link 2,shoes,https://shop\\.example/2,scanner,[^,]*several clicks[^,]*,,,192\\.0\\.2\\.0,Mozilla/5\\.0 \\(X11\\),,,,,$`,
    ),
  );
  expect(rows[2]).toMatch(/,opened,,,,,,,person,nothing speaks for a machine,repeated,/);
  const ids = rows.slice(1).map((row) => Number(row.split(",", 1)[0]));
  expect(ids).toEqual([...ids].sort((a, b) => a - b));
  expect(new Set(ids).size).toBe(4502);
});

test("a message tells what its readers did", async () => {
  const { id, firstId } = await delivery();
  await putHit(sql, { delivery: id, message: firstId, link: 3, agent: "<script>\u202e\nx" });
  const { events } = (await api.get(`/v1/messages/${firstId}`)).body as { events: object[] };
  expect(events.at(-1)).toEqual({
    type: "clicked",
    at: "2026-05-03T10:00:00.000Z",
    reason: "nothing speaks for a machine",
    class: "person",
    link: 3,
    ip: "192.0.2.0",
    userAgent: "<script> x",
  });
});

test("the stream: page by page, each hit once, in order, and on when there is more", async () => {
  const { id, firstId } = await delivery();
  await sql`
    insert into tracking (at, message_id, delivery_id, kind, class)
    select '2026-05-03T10:00:00Z', ${firstId}, ${id}, n % 2, 0 from generate_series(1, 2500) n`;
  const all = await api.get("/v1/events?limit=100000");
  expect(all.headers["content-type"]).toBe("application/x-ndjson; charset=utf-8");
  const ids = lines(all.text).map((event) => event["id"]);
  expect(ids).toHaveLength(2500);
  const seen: unknown[] = [];
  let cursor = "0";
  for (let pages = 0; pages < 10; pages++) {
    const answer = await api.get(`/v1/events?cursor=${cursor}&limit=700`);
    seen.push(...lines(answer.text).map((event) => event["id"]));
    cursor = answer.headers["x-next-cursor"]!;
  }
  expect(seen).toEqual(ids);
  expect(cursor).toBe(String(ids.at(-1)));
  const more = await putHit(sql, { delivery: id, kind: "mirror", message: firstId });
  const next = await api.get(`/v1/events?cursor=${cursor}`);
  expect(lines(next.text)).toMatchObject([
    { id: more, type: "mirror", deliveryId: id, messageId: firstId, link: null },
  ]);
});

test("the stream of one delivery and one type goes on behind all others, too", async () => {
  const mine = await delivery();
  const other = await delivery();
  const first = await putHit(sql, { delivery: mine.id, kind: "unsubscribe", hint: "one-click" });
  for (let i = 0; i < 5; i++) await putHit(sql, { delivery: other.id, kind: "unsubscribe" });
  const last = await putHit(sql, { delivery: mine.id, kind: "open" });
  const url = `/v1/events?delivery=${mine.id}&type=unsubscribed`;
  const found = await api.get(url);
  expect(lines(found.text)).toMatchObject([{ id: first, type: "unsubscribed", hint: "one-click" }]);
  expect(found.headers["x-next-cursor"]).toBe(String(last));
  const full = await api.get(`${url}&limit=1`);
  expect(full.headers["x-next-cursor"]).toBe(String(first));
  const nothing = await api.get(`${url}&cursor=${last}`);
  expect([nothing.status, nothing.text, nothing.headers["x-next-cursor"]]).toEqual([200, "", String(last)]);
  // A cursor from before the ledger was set back is not lowered: what came since would be told twice.
  expect((await api.get(`${url}&cursor=999999999999999`)).headers["x-next-cursor"]).toBe("999999999999999");
});

test("a line is a line, whatever a stranger wrote", async () => {
  const { id } = await delivery();
  const web = { tag: "a\nb", amount: 1.5, articles: 2, more: [["\u2028", '"\\']] as [string, string][] };
  await putHit(sql, { delivery: id, kind: "transaction", agent: "x\r\n{}\u0085\u2028", visitor: "\n", web });
  const { text } = await api.get(`/v1/events?delivery=${id}`);
  expect(text.split("\n")).toHaveLength(2);
  expect(lines(text)).toMatchObject([
    { userAgent: "x {}", visitor: "", messageId: null, web: { tag: "a b", amount: 1.5, more: [["", '"\\']] } },
  ]);
});

test.each(["cursor=-1", "cursor=x", "limit=0", "limit=100001", "type=open", "delivery=0", "delivery=a", "after=1"])(
  "events?%s is refused",
  async (query) => expect((await api.get(`/v1/events?${query}`)).status).toBe(400),
);

test("streams at once are bounded, and one whose reader left is free again", async () => {
  const { id, firstId } = await delivery();
  await sql`
    insert into tracking (at, message_id, delivery_id, kind, class)
    select '2026-05-03T10:00:00Z', ${firstId}, ${id}, 0, 0 from generate_series(1, 90000)`;
  const base = await api.listen();
  const url = `${base}/v1/deliveries/${id}/reactions.csv`;
  const open = async (): Promise<Response> =>
    fetch(url, { headers: { authorization: `Bearer ${api.token}` }, signal: leave.signal });
  const leave = new AbortController();
  // Nobody reads: each stops when the sockets are full.
  const slow = await Promise.all(Array.from({ length: 4 }, open));
  expect(slow.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(await api.get(`/v1/deliveries/${id}/reactions.csv`)).toMatchObject({
    status: 429,
    headers: { "retry-after": "5" },
  });
  leave.abort();
  await until(async () => (await api.get("/v1/deliveries/1/reactions.csv")).status !== 429);
});
