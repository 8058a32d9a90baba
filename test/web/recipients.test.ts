/** Uploads: what is accepted, what is refused and why, and that nothing hostile does more than cost its own line. */
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { openTestApi } from "../support/api.ts";

const api = await openTestApi();

/** Counters of the answer must be what count(*) says. */
async function expectExact(id: number): Promise<void> {
  const { body } = await api.get(`/v1/deliveries/${id}`);
  const rows = await api.db.sql<{ status: number; n: number }[]>`
    select status, count(*)::int as n from message where delivery_id = ${id} group by status`;
  const count = (status: number): number => rows.find((row) => row.status === status)?.n ?? 0;
  expect(body["counters"]).toMatchObject({
    accepted: rows.reduce((sum, row) => sum + row.n, 0),
    pending: count(0),
    excluded: count(5),
  });
  const parts = await api.db.sql`
    select p.id from part p where p.delivery_id = ${id}
      and p.pending + p.excluded <> (select count(*) from message m where m.delivery_id = ${id} and m.id between p.first_id and p.last_id)`;
  expect(parts).toHaveLength(0);
}

test("NDJSON: variables are what is not the address", async () => {
  const id = await api.delivery();
  const answer = await api.upload(
    id,
    [
      '{"email":"Ann@Example.COM","first":"Ann","address":"12 Main St"}',
      '{"address":"bob@example.com","variables":{"first":"Bob"},"n":1}',
      "",
      '{"email":"carl@example.com"}',
    ].join("\r\n"),
  );
  expect(answer.body).toEqual({ accepted: 3, duplicate: 0, excluded: 0, invalid: 0, errors: [], lines: 4 });
  const rows = await api.db.sql`select address, variables from message where delivery_id = ${id} order by id`;
  expect([...rows]).toEqual([
    { address: "Ann@example.com", variables: '{"first":"Ann","address":"12 Main St"}' },
    { address: "bob@example.com", variables: '{"n":1,"first":"Bob"}' },
    { address: "carl@example.com", variables: null },
  ]);
  await expectExact(id);
});

test("the same recipients again, in whatever case, add nothing", async () => {
  const id = await api.delivery();
  const lines = '{"email":"a@example.com"}\n{"email":"b@example.com"}\n{"email":"A@EXAMPLE.com"}\n';
  expect((await api.upload(id, lines)).body).toMatchObject({ accepted: 2, duplicate: 1 });
  expect((await api.upload(id, lines)).body).toMatchObject({ accepted: 0, duplicate: 3 });
  expect((await api.upload(id, '{"email":"B@example.com"}\n{"email":"c@example.com"}')).body).toMatchObject({
    accepted: 1,
    duplicate: 1,
  });
  await expectExact(id);
});

test("hostile lines are invalid, each with its number and reason, and the good ones among them are kept", async () => {
  const id = await api.delivery();
  const wide = `{"email":"wide@example.com",${Array.from({ length: 10_000 }, (_, i) => `"f${i}":${i}`).join(",")}}`;
  const lines: (string | Buffer)[] = [
    "not json",
    "[1,2]",
    '"a@example.com"',
    "{}",
    '{"email":17}',
    '{"email":"a@example.com\\r\\nRCPT TO:<evil@example.com>"}',
    '{"email":"x@@example.com"}',
    `{"email":"deep@example.com","x":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
    `{"email":"big@example.com","x":"${"y".repeat(70_000)}"}`,
    Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]),
    '{"email":"a@example.com","variables":[1]}',
    wide,
    '{"email":"\'; drop table message; --@example.com"}',
    '{"email":"proto@example.com","__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
    '{"email":"nul@example.com","x":"\\u0000\\ud800"}',
    '{"email":"good@example.com","x":"line\\nfeed\\ttab \\\\ backslash \\u0001"}',
  ];
  const body = Buffer.concat(lines.flatMap((line) => [Buffer.from(line), Buffer.from("\n")]));
  const answer = await api.upload(id, body);
  expect(answer.status).toBe(200);
  const reasons = Object.fromEntries(
    answer.body["errors"].map((e: { line: number; reason: string }) => [e.line, e.reason]),
  );
  expect(reasons).toMatchObject({
    1: "the line is not JSON",
    2: "the line is not a JSON object",
    3: "the line is not a JSON object",
    4: "there is no address",
    5: "there is no address",
    8: expect.stringContaining("nested deeper"),
    9: expect.stringContaining("65536 bytes"),
    10: "the line is not valid UTF-8",
    11: "variables is not an object",
    12: expect.stringContaining("65536 bytes"),
  });
  expect(Object.keys(reasons).map(Number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
  expect(answer.body).toMatchObject({ accepted: 3, invalid: 13, lines: 16 });
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  const [row] = await api.db
    .sql`select variables from message where delivery_id = ${id} and address = 'good@example.com'`;
  expect(JSON.parse(row!["variables"])).toEqual({ x: "line\nfeed\ttab \\ backslash \u0001" });
  await expectExact(id);
});

test("a line of 100 MB is one invalid line and is never held in memory", async () => {
  const id = await api.delivery();
  const base = await api.listen();
  const before = process.memoryUsage().rss;
  let most = before;
  async function* lines(): AsyncGenerator<Buffer> {
    yield Buffer.from('{"email":"first@example.com"}\n{"email":"x@example.com","x":"');
    const piece = Buffer.alloc(1024 * 1024, "y");
    for (let i = 0; i < 100; i++) {
      yield piece;
      most = Math.max(most, process.memoryUsage().rss);
    }
    yield Buffer.from('"}\n{"email":"last@example.com"}\n');
  }
  const response = await fetch(`${base}/v1/deliveries/${id}/recipients`, {
    method: "PUT",
    headers: { authorization: `Bearer ${api.token}`, "content-type": "application/x-ndjson" },
    body: ReadableStream.from(lines()),
    duplex: "half",
  } as RequestInit);
  expect(await response.json()).toEqual({
    accepted: 2,
    duplicate: 0,
    excluded: 0,
    invalid: 1,
    errors: [{ line: 2, reason: "the line is longer than 1 MB" }],
    lines: 3,
  });
  expect(most - before).toBeLessThan(80 * 1024 * 1024);
  await expectExact(id);
});

test("CSV: quotes, line feeds in fields, semicolons, a byte order mark", async () => {
  const id = await api.delivery();
  const csv =
    '\uFEFFName;E-Mail;Note\r\n"Ann ""A"" Bee";ann@example.com;"two\nlines; and more"\r\nBob 5" pipe;bob@example.com;\r\n';
  expect((await api.upload(id, csv, "text/csv")).body).toMatchObject({ accepted: 2, invalid: 0 });
  const rows = await api.db.sql`select address, variables from message where delivery_id = ${id} order by id`;
  expect([...rows].map((r) => [r["address"], JSON.parse(r["variables"])])).toEqual([
    ["ann@example.com", { Name: 'Ann "A" Bee', Note: "two\nlines; and more" }],
    ["bob@example.com", { Name: 'Bob 5" pipe', Note: "" }],
  ]);
});

test("CSV: broken records cost only themselves", async () => {
  const id = await api.delivery();
  const csv = [
    "email,first",
    "a@example.com,A,too many",
    ",nobody",
    "b@example.com",
    `"c@example.com,${"never closed ".repeat(6000)}`,
    "d@example.com,D",
  ].join("\n");
  const answer = await api.upload(id, csv, "text/csv");
  expect(answer.body).toMatchObject({ accepted: 2, invalid: 3, lines: 6 });
  expect(answer.body["errors"].map((e: { line: number }) => e.line)).toEqual([2, 3, 5]);
  const noAddress = await api.upload(id, "first,last\nA,B\n", "text/csv");
  expect(noAddress.status).toBe(400);
  expect(noAddress.body["detail"]).toContain("email or address");
});

test("gzip is accepted, broken gzip refused, and a bomb stopped", async () => {
  const id = await api.delivery();
  const gzip = { "content-encoding": "gzip" };
  const good = await api.upload(id, gzipSync('{"email":"z@example.com"}\n'), "application/x-ndjson", gzip);
  expect(good.body).toMatchObject({ accepted: 1 });
  const broken = await api.upload(id, Buffer.from("this is not gzip"), "application/x-ndjson", gzip);
  expect(broken.status).toBe(400);
  expect(broken.body).toMatchObject({ detail: "the body is not valid gzip", accepted: 0, committedLines: 0 });
  const cut = gzipSync(Buffer.alloc(100_000, "a")).subarray(0, 60);
  expect((await api.upload(id, cut, "application/x-ndjson", gzip)).status).toBe(400);
  const bomb = gzipSync(Buffer.alloc(150 * 1024 * 1024));
  const stopped = await api.upload(id, bomb, "application/x-ndjson", gzip);
  expect(stopped.status).toBe(413);
  expect((await api.upload(id, "x", "application/x-ndjson", { "content-encoding": "br" })).status).toBe(415);
});

test("suppressed addresses are excluded with the reason, expired ones are not", async () => {
  const id = await api.delivery();
  for (const [address, body] of [
    ["Stop@Example.com", { reason: "asked us to" }],
    ["once@example.com", { reason: "old", expiresAt: "2020-01-01T00:00:00Z" }],
  ] as const) {
    expect((await api.call("PUT", `/v1/suppressions/${address}`, body)).status).toBe(201);
  }
  const answer = await api.upload(
    id,
    '{"email":"STOP@example.com"}\n{"email":"once@example.com"}\n{"email":"go@example.com"}\n',
  );
  expect(answer.body).toMatchObject({ accepted: 3, excluded: 1 });
  const [row] = await api.db
    .sql`select status, reason from message where delivery_id = ${id} and address = 'STOP@example.com'`;
  expect(row).toEqual({ status: 5, reason: "suppressed: asked us to" });
  const { body } = await api.get(`/v1/deliveries/${id}/messages?status=excluded`);
  expect(body["messages"]).toMatchObject([{ address: "STOP@example.com", status: "excluded" }]);
  await expectExact(id);
});

test("big domains get parts of their own, the tail shares, and no part is larger than partSize", async () => {
  const id = await api.delivery();
  const lines: string[] = [];
  for (let i = 0; i < 1200; i++) lines.push(`{"email":"u${i}@big.example"}`, `{"email":"u${i}@small${i}.example"}`);
  expect((await api.upload(id, lines.join("\n"))).body).toMatchObject({ accepted: 2400 });
  const parts = await api.db.sql`
    select domain, pending, last_id - first_id + 1 as size from part where delivery_id = ${id} order by first_id`;
  expect(parts.map((p) => [p["domain"], p["pending"], p["size"]])).toEqual([
    ["big.example", 500, 500],
    ["big.example", 500, 500],
    ["big.example", 200, 200],
    ["", 500, 500],
    ["", 500, 500],
    ["", 200, 200],
  ]);
  await expectExact(id);
});

test("two identical uploads at once: each recipient once", async () => {
  const id = await api.delivery();
  const base = api.server.listeningOrigin;
  const lines = Array.from({ length: 60_000 }, (_, i) => `{"email":"u${i}@d${i % 7}.example","n":${i}}\n`).join("");
  const send = async (): Promise<{ accepted: number; duplicate: number }> => {
    const response = await fetch(`${base}/v1/deliveries/${id}/recipients`, {
      method: "POST",
      headers: { authorization: `Bearer ${api.token}`, "content-type": "application/x-ndjson" },
      body: lines,
    });
    expect(response.status).toBe(200);
    return (await response.json()) as { accepted: number; duplicate: number };
  };
  const [one, two] = await Promise.all([send(), send()]);
  expect(one.accepted + two.accepted).toBe(60_000);
  expect(one.duplicate + two.duplicate).toBe(60_000);
  const [row] = await api.db.sql`
    select count(*)::int as n, count(distinct lower(address))::int as distinct from message where delivery_id = ${id}`;
  expect(row).toEqual({ n: 60_000, distinct: 60_000 });
  await expectExact(id);
  // A first batch of this size has a volume of its own.
  const [volume] = await api.db.sql`select v.own from delivery d join volume v on v.id = d.volume where d.id = ${id}`;
  expect(volume).toEqual({ own: true });
});

test("nothing is taken by a delivery that is stopped, is not there, or without the right type", async () => {
  const id = await api.delivery();
  await api.post(`/v1/deliveries/${id}/stop`);
  expect((await api.upload(id, "{}")).status).toBe(409);
  expect((await api.upload(999_999, "{}")).status).toBe(404);
  const open = await api.delivery();
  expect((await api.upload(open, "{}", "application/json")).status).toBe(415);
  expect((await api.upload(open, "{}", "text/plain")).status).toBe(415);
});
